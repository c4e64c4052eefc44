// The enumeration of aws-lambda-java-core, for packages that do not bring it.
package com.amazonaws.services.lambda.runtime.logging;

public enum LogLevel { UNDEFINED, TRACE, DEBUG, INFO, WARN, ERROR, FATAL }
