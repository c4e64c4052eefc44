// InvokeWithResponseStream by the SDK for JavaScript v3.
//   stream.mjs NAME EVENT…   calls the function with each event; prints a line of JSON for each
import { InvokeWithResponseStreamCommand, LambdaClient } from '@aws-sdk/client-lambda';

const [name, ...events] = process.argv.slice(2);
const lambda = new LambdaClient({ maxAttempts: 1 });
for (const event of events) {
  const answer = await lambda.send(new InvokeWithResponseStreamCommand({
    FunctionName: name, Payload: event, LogType: 'Tail',
  }));
  const out = { version: answer.ExecutedVersion, status: answer.StatusCode, parts: [], at: [] };
  for await (const one of answer.EventStream) {
    if (one.PayloadChunk) {
      out.parts.push(Buffer.from(one.PayloadChunk.Payload).toString());
      out.at.push(Date.now());
    }
    if (one.InvokeComplete) out.complete = one.InvokeComplete;
  }
  console.log(JSON.stringify(out));
}
