package org.crac;

/** What resources threw before a snapshot: its suppressed exceptions. */
public class CheckpointException extends Exception {
    private static final long serialVersionUID = 1;

    public CheckpointException() {}

    public CheckpointException(String message) {
        super(message);
    }
}
