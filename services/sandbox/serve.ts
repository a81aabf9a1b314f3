import { parseArgs } from 'node:util';
import { startSandbox } from './main.ts';

/** Runs the sandbox as a process of its own and prints one line of JSON with its addresses. */
const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
  },
});

const sandbox = await startSandbox({
  host: values.host,
  port: Number.parseInt(values.port, 10),
  seed: Number.parseInt(values.seed, 10),
});
const { url, openaiUrl, anthropicUrl, stripeUrl } = sandbox;
process.stdout.write(`${JSON.stringify({ url, openaiUrl, anthropicUrl, stripeUrl })}\n`);

let stopping = false;
const stop = (): void => {
  if (stopping) return;
  stopping = true;
  void sandbox.close().then(() => process.exit(0));
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
