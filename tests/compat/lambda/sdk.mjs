// The SDK for JavaScript v3 against the server of AWS_ENDPOINT_URL.
//   sdk.mjs ZIP NAME                   a Python function and all that is asked of it; prints "ok"
//   sdk.mjs ZIP NAME RUNTIME HANDLER   makes, calls and deletes a function; prints its answer
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  CloudWatchLogsClient, DescribeLogGroupsCommand, FilterLogEventsCommand,
} from '@aws-sdk/client-cloudwatch-logs';
import {
  CreateFunctionCommand, DeleteFunctionCommand, GetFunctionCommand, InvokeCommand, LambdaClient,
  paginateListFunctions, PublishVersionCommand, waitUntilFunctionActiveV2,
} from '@aws-sdk/client-lambda';

const [zip, name, runtime = 'python3.11', handler = 'lambda_function.lambda_handler'] =
  process.argv.slice(2);
const lambda = new LambdaClient({ maxAttempts: 1 });
const logs = new CloudWatchLogsClient({ maxAttempts: 1 });

await lambda.send(new CreateFunctionCommand({
  FunctionName: name, Runtime: runtime, Handler: handler, Timeout: 30, MemorySize: 512,
  Role: 'arn:aws:iam::000000000000:role/test-role', Code: { ZipFile: readFileSync(zip) },
}));
await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 60, minDelay: 1 },
  { FunctionName: name });
if (process.argv.length > 4) {
  const { FunctionError, Payload } = await lambda.send(new InvokeCommand({
    FunctionName: name, Payload: JSON.stringify({ name: 'you' }),
  }));
  assert.equal(FunctionError, undefined, Payload.transformToString());
  console.log(Payload.transformToString());
  await lambda.send(new DeleteFunctionCommand({ FunctionName: name }));
  process.exit(0);
}
const answer = await lambda.send(new InvokeCommand({
  FunctionName: name, Payload: JSON.stringify({ n: 1 }), LogType: 'Tail',
}));
assert.equal(answer.StatusCode, 200);
assert.equal(answer.FunctionError, undefined);
assert.deepEqual(JSON.parse(answer.Payload.transformToString()).event, { n: 1 });
assert.match(Buffer.from(answer.LogResult, 'base64').toString(), /REPORT RequestId/);
const version = await lambda.send(new PublishVersionCommand({ FunctionName: name }));
assert.equal(version.Version, '1');
const names = [];
for await (const page of paginateListFunctions({ client: lambda, pageSize: 1 }, {})) {
  names.push(...page.Functions.map((f) => f.FunctionName));
}
assert.ok(names.includes(name));
const groups = await logs.send(new DescribeLogGroupsCommand({
  logGroupNamePrefix: `/aws/lambda/${name}`,
}));
assert.equal(groups.logGroups.length, 1);
const found = await logs.send(new FilterLogEventsCommand({
  logGroupName: `/aws/lambda/${name}`, filterPattern: 'seen',
}));
assert.ok(found.events.length >= 1);
await lambda.send(new DeleteFunctionCommand({ FunctionName: name }));
await assert.rejects(lambda.send(new GetFunctionCommand({ FunctionName: name })),
  { name: 'ResourceNotFoundException' });
console.log('ok');
