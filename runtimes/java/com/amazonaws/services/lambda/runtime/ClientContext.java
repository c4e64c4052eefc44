// The interface of aws-lambda-java-core, for packages that do not bring it.
package com.amazonaws.services.lambda.runtime;

public interface ClientContext {
    Client getClient();
    java.util.Map<String, String> getCustom();
    java.util.Map<String, String> getEnvironment();
}
