export const handler = async (event, context) => {
  console.log('called as', context.invokedFunctionArn);
  return { statusCode: 200, body: JSON.stringify({ hello: event.name ?? 'world' }) };
};
