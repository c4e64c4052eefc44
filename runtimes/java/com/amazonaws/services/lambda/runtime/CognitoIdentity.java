// The interface of aws-lambda-java-core, for packages that do not bring it.
package com.amazonaws.services.lambda.runtime;

public interface CognitoIdentity {
    String getIdentityId();
    String getIdentityPoolId();
}
