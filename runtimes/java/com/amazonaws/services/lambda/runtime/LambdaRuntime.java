// The class of aws-lambda-java-core, for packages that do not bring it.
package com.amazonaws.services.lambda.runtime;

public final class LambdaRuntime {
    private LambdaRuntime() {}

    public static LambdaLogger getLogger() {
        return mayfly.runtime.LogSink.LOGGER;
    }
}
