// A page for browsers: the event of a function URL carries the whole HTTP request.
const escape = (text) =>
  text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

export const handler = async (event) => {
  const name = escape(event.queryStringParameters?.name ?? event.name ?? 'butterfly');
  const agent = escape(event.requestContext?.http?.userAgent ?? 'somebody');
  return {
    statusCode: 200,
    headers: { 'content-type': 'text/html; charset=utf-8' },
    body: `<!doctype html>
<title>Hello</title>
<h1>Hello, ${name}!</h1>
<p>You came to ${escape(event.rawPath ?? '/')} with ${agent}.</p>
<form><input name="name" placeholder="your name"><button>Greet</button></form>
`,
  };
};
