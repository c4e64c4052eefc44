package mayfly.runtime;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.util.LinkedHashMap;
import java.util.Map;

/** The context of one invocation, made of its event and of the environment. */
final class InvocationContext implements Context {
    private final Channel.Event event;

    InvocationContext(Channel.Event event) {
        this.event = event;
    }

    @Override
    public String getAwsRequestId() {
        return event.requestId;
    }

    @Override
    public String getLogGroupName() {
        return System.getenv("AWS_LAMBDA_LOG_GROUP_NAME");
    }

    @Override
    public String getLogStreamName() {
        return System.getenv("AWS_LAMBDA_LOG_STREAM_NAME");
    }

    @Override
    public String getFunctionName() {
        return System.getenv("AWS_LAMBDA_FUNCTION_NAME");
    }

    @Override
    public String getFunctionVersion() {
        return System.getenv("AWS_LAMBDA_FUNCTION_VERSION");
    }

    @Override
    public String getInvokedFunctionArn() {
        return event.arn;
    }

    @Override
    public String getTenantId() {
        return event.tenant.isEmpty() ? null : event.tenant;
    }

    @Override
    public int getRemainingTimeInMillis() {
        return (int) Math.max(
                0, Math.min(Integer.MAX_VALUE, event.deadline - System.currentTimeMillis()));
    }

    @Override
    public int getMemoryLimitInMB() {
        String memory = System.getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
        return memory == null ? 0 : Integer.parseInt(memory);
    }

    @Override
    public LambdaLogger getLogger() {
        return LogSink.LOGGER;
    }

    @Override
    public CognitoIdentity getIdentity() {
        Map<?, ?> given = tree(event.identity);
        return new CognitoIdentity() {
            @Override
            public String getIdentityId() {
                return text(given, "cognitoIdentityId");
            }

            @Override
            public String getIdentityPoolId() {
                return text(given, "cognitoIdentityPoolId");
            }
        };
    }

    @Override
    public ClientContext getClientContext() {
        Map<?, ?> given = tree(event.clientContext);
        if (given == null)
            return null;
        return new ClientContext() {
            @Override
            public Client getClient() {
                Object client = given.get("client");
                return client instanceof Map ? clientOf((Map < ?, ? >) client) : null;
            }

            @Override
            public Map<String, String> getCustom() {
                return texts(given.get("custom"));
            }

            @Override
            public Map<String, String> getEnvironment() {
                return texts(given.get("env"));
            }
        };
    }

    private static Map<?, ?> tree(String text) {
        return text.isEmpty() ? null : (Map<?, ?>) Json.parse(text);
    }

    private static String text(Map<?, ?> values, String key) {
        Object value = values == null ? null : values.get(key);
        return value == null ? null : value.toString();
    }

    private static Map<String, String> texts(Object values) {
        if (!(values instanceof Map))
            return null;
        Map<String, String> out = new LinkedHashMap<>();
        Map<?, ?> given = (Map<?, ?>) values;
        given.forEach((key, value) -> out.put(key.toString(), String.valueOf(value)));
        return out;
    }

    private static Client clientOf(Map<?, ?> given) {
        return new Client() {
            @Override
            public String getInstallationId() {
                return text(given, "installation_id");
            }

            @Override
            public String getAppTitle() {
                return text(given, "app_title");
            }

            @Override
            public String getAppVersionName() {
                return text(given, "app_version_name");
            }

            @Override
            public String getAppVersionCode() {
                return text(given, "app_version_code");
            }

            @Override
            public String getAppPackageName() {
                return text(given, "app_package_name");
            }
        };
    }
}
