import json


def lambda_handler(event, context):
    print("called as", context.invoked_function_arn)
    return {"statusCode": 200, "body": json.dumps({"hello": event.get("name", "world")})}
