import { connect, constants } from 'node:http2';
import { expect, onTestFinished, test } from 'vitest';
import { startClientsHouse } from './proxy-clients-house.ts';
import { KEY, readEvents, untilEvents } from './proxy-harness.ts';

/** One streamed chat over HTTP/2 without a word of HTTP/1; `onData` sees each piece. */
const stream = (url: string, directive: string, onData: (leave: () => void) => void) => {
  const session = connect(url);
  onTestFinished(() => session.destroy());
  const call = session.request({
    ':method': 'POST',
    ':path': '/openai/v1/chat/completions',
    authorization: `Bearer ${KEY}`,
    'content-type': 'application/json',
  });
  const messages = [{ role: 'user', content: `[[sandbox ${directive}]]` }];
  call.end(JSON.stringify({ model: 'gpt-4o', stream: true, messages }));
  return new Promise<number>((resolve) => {
    call.on('data', () => onData(() => call.close(constants.NGHTTP2_CANCEL)));
    call.on('error', () => undefined);
    call.on('close', () => resolve(call.rstCode));
  });
};

test('a caller over HTTP/2 that leaves in the middle is drained like any other', async () => {
  const house = await startClientsHouse();
  const directive = 'input=100 output=40 chunks=20 chunk_ms=10';
  await stream(house.url, directive, (leave) => leave());
  const [event] = await untilEvents(house.localLog, 1);
  expect(event).toMatchObject({
    ending: 'drained',
    error_kind: 'client_left',
    classes: { input_uncached: '100', output_text: '40' },
  });
});

test('an answer that breaks off does not look over HTTP/2 like one that ended', async () => {
  const house = await startClientsHouse();
  const code = await stream(
    house.url,
    'input=100 output=40 chunks=20 cut=after:10',
    () => undefined,
  );
  expect(code).not.toBe(0);
  expect((await readEvents(house.localLog))[0]).toMatchObject({ error_kind: 'cut' });
});
