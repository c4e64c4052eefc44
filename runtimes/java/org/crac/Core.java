package org.crac;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** The global context, whose resources the runtime tells of the snapshot. */
public final class Core {
    private static final Context<Resource> GLOBAL = new Ordered();

    private Core() {}

    public static Context<Resource> getGlobalContext() {
        return GLOBAL;
    }

    /** The runtime takes the snapshot, not the function. */
    public static void checkpointRestore() throws CheckpointException, RestoreException {
        throw new UnsupportedOperationException("a snapshot is taken when a version is published");
    }

    /** Last registered first before a snapshot, first registered first after it. */
    private static final class Ordered extends Context<Resource> {
        private final List<Resource> resources = new ArrayList<>();

        @Override
        public synchronized void register(Resource resource) {
            resources.add(resource);
        }

        private synchronized List<Resource> registered() {
            return new ArrayList<>(resources);
        }

        @Override
        public void beforeCheckpoint(Context<? extends Resource> context)
                throws CheckpointException {
            CheckpointException failed =
                    new CheckpointException("a hook before the snapshot failed");
            List<Resource> order = registered();
            Collections.reverse(order);
            for (Resource resource : order) {
                try {
                    resource.beforeCheckpoint(this);
                } catch (Exception error) {
                    failed.addSuppressed(error);
                }
            }
            if (failed.getSuppressed().length > 0)
                throw failed;
        }

        @Override
        public void afterRestore(Context<? extends Resource> context) throws RestoreException {
            RestoreException failed = new RestoreException("a hook after the restore failed");
            for (Resource resource : registered()) {
                try {
                    resource.afterRestore(this);
                } catch (Exception error) {
                    failed.addSuppressed(error);
                }
            }
            if (failed.getSuppressed().length > 0)
                throw failed;
        }
    }
}
