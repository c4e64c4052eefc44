// The SDK for JavaScript v3, driven by clients.py against the server of AWS_ENDPOINT_URL:
//   sdk.mjs PACKAGE CLIENT
// reads lines {"operation", "input"} and answers each with a line: {"answer"} or {"error"}. With
// "pages": true the paginator of the operation runs, and the answer is the list of its pages.
// {"$date": ISO} stands for a time and {"$bytes": base64} for bytes, in both directions.
import { createInterface } from 'node:readline';

const [, , packageName, clientName] = process.argv;
const sdk = await import(packageName);
const client = new sdk[clientName]({ maxAttempts: 1 });

const revive = (_, value) => {
  if (value?.$date) return new Date(value.$date);
  if (value?.$bytes !== undefined) return Buffer.from(value.$bytes, 'base64');
  return value;
};
const plain = (_, value) =>
  (value instanceof Uint8Array ? { $bytes: Buffer.from(value).toString('base64') } : value);

async function call({ operation, input, pages }) {
  if (!pages) {
    const { $metadata, ...answer } = await client.send(new sdk[`${operation}Command`](input));
    return answer;
  }
  const found = [];
  for await (const { $metadata, ...page } of sdk[`paginate${operation}`]({ client }, input)) {
    found.push(page);
  }
  return found;
}

for await (const line of createInterface({ input: process.stdin })) {
  let said;
  try {
    said = { answer: await call(JSON.parse(line, revive)) };
  } catch (error) {
    said = {
      error: {
        code: error.name, message: error.message, status: error.$metadata?.httpStatusCode ?? 0,
      },
    };
  }
  console.log(JSON.stringify(said, plain));
}
