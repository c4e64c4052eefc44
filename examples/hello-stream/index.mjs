// An answer that is read while it is made: one word after the other, as a language model would say
// them. awslambda is there before this file is loaded.
import { setTimeout as wait } from 'node:timers/promises';

export const handler = awslambda.streamifyResponse(async (event, responseStream) => {
  const name = event.queryStringParameters?.name ?? event.name ?? 'butterfly';
  // Status and headers for whoever asks by the URL; a plain call wants the words alone.
  const stream = event.requestContext?.http
    ? awslambda.HttpResponseStream.from(responseStream, {
        statusCode: 200,
        headers: { 'content-type': 'text/plain; charset=utf-8' },
      })
    : responseStream;
  for (const word of ['Hello,', name, '-', 'this', 'comes', 'word', 'by', 'word.']) {
    stream.write(`${word} `);
    await wait(100);
  }
  stream.end('\n');
});
