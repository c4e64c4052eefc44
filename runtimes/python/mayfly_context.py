"""The context object of a Python handler."""

import json
import logging
import os
import sys
import time


def _repr(value, names):
    inside = ",".join("%s=%s" % (name, getattr(value, name)) for name in names)
    return "%s([%s])" % (type(value).__name__, inside)


class _Record:
    __slots__ = ()

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return _repr(self, self.__slots__)


class CognitoIdentity(_Record):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Record):
    __slots__ = (
        "installation_id",
        "app_title",
        "app_version_name",
        "app_version_code",
        "app_package_name",
    )


class ClientContext(_Record):
    __slots__ = ("custom", "env", "client")


_NAMES = _FUNCTION = ()


def read_variables():
    """Once in each environment, before its first event: a fork has others than its template.
    Reserved variables: a function cannot have set them, and they do not change."""
    global _NAMES, _FUNCTION
    get = os.environ.get
    _NAMES = tuple(
        get("AWS_LAMBDA_" + name) for name in ("LOG_GROUP_NAME", "LOG_STREAM_NAME", "FUNCTION_NAME")
    )
    _FUNCTION = tuple(get("AWS_LAMBDA_FUNCTION_" + name) for name in ("MEMORY_SIZE", "VERSION"))


class LambdaContext:
    def __init__(self, request_id, client_context, identity, deadline_ms, arn, tenant):
        self.aws_request_id = request_id
        self.log_group_name, self.log_stream_name, self.function_name = _NAMES
        self.memory_limit_in_mb, self.function_version = _FUNCTION
        self.invoked_function_arn = arn
        self.tenant_id = tenant
        self.client_context = client_context
        self.identity = identity
        self._epoch_deadline_time_in_ms = deadline_ms

    def get_remaining_time_in_millis(self):
        left = self._epoch_deadline_time_in_ms - int(time.time() * 1000)
        return left if left > 0 else 0

    def log(self, msg):
        for handler in logging.getLogger().handlers:
            sink = getattr(handler, "log_sink", None)
            if sink is not None:
                sink.log(str(msg))
                return
        sys.stdout.write(str(msg))

    def __repr__(self):
        return _repr(
            self,
            (
                "aws_request_id",
                "log_group_name",
                "log_stream_name",
                "function_name",
                "memory_limit_in_mb",
                "function_version",
                "invoked_function_arn",
                "client_context",
                "identity",
                "tenant_id",
            ),
        )


def _parse(text, name, fault):
    try:
        return json.loads(text)
    except Exception as error:
        raise fault(
            "Runtime.LambdaContextUnmarshalError",
            "Unable to parse %s JSON: %s" % (name, error),
        )


def _client_context(client, fault):
    context = ClientContext(_parse(client, "Client Context", fault))
    if context.client is not None:
        context.client = Client(context.client)
    return context


_new_identity = CognitoIdentity.__new__


def make(request_id, client, identity, deadline_ms, arn, tenant, fault):
    who = _new_identity(CognitoIdentity)
    who.cognito_identity_id = who.cognito_identity_pool_id = None
    context = _client_context(client, fault) if client else None
    if identity:
        given = _parse(identity, "Cognito Identity", fault)
        who.cognito_identity_id = given.get("cognitoIdentityId")
        who.cognito_identity_pool_id = given.get("cognitoIdentityPoolId")
    return LambdaContext(request_id, context, who, deadline_ms, arn, tenant)
