package org.crac;

/** What is told of a snapshot. The interfaces of this package are those of the crac library. */
public interface Resource {
    void beforeCheckpoint(Context<? extends Resource> context) throws Exception;

    void afterRestore(Context<? extends Resource> context) throws Exception;
}
