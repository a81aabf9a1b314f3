import type { IncomingMessage } from 'node:http';
import { keep, LOOKS, record, work } from './batch-work.ts';
import { type Endpoint, isRecord } from './dialect.ts';
import { CHAT_COMPLETIONS } from './openai-chat.ts';
import { RESPONSES } from './openai-responses.ts';
import { type House, readBody } from './provider-call.ts';

/** Work of one sandbox that ends after it was accepted: uploaded files, batches, background responses. */
interface Desk {
  readonly files: Map<string, string>;
  readonly batches: Map<string, { job: Record<string, unknown>; looks: number }>;
  readonly responses: Map<string, { accepted: string; done: string; looks: number }>;
}

const desks = new WeakMap<House, Desk>();

const deskOf = (house: House): Desk => {
  const known = desks.get(house);
  if (known) return known;
  const desk: Desk = { files: new Map(), batches: new Map(), responses: new Map() };
  desks.set(house, desk);
  return desk;
};

const outputLine = (house: House, line: Record<string, unknown>, endpoint: Endpoint): string => {
  const body = isRecord(line['body']) ? line['body'] : {};
  const done = work(house, endpoint, { requestId: house.ids.hex('req_'), body });
  const response =
    done.ended === 'succeeded'
      ? { status_code: 200, request_id: done.requestId, body: record(done.text) }
      : { status_code: 400, request_id: done.requestId, body: { error: {} } };
  return JSON.stringify({
    id: house.ids.hex('batch_req_'),
    custom_id: line['custom_id'],
    response,
    error: null,
  });
};

/** The file inside a multipart form, or the body itself. */
const uploaded = (body: string): string =>
  /name="file"[^\r\n]*(?:\r\n[^\r\n]+)*\r\n\r\n([\s\S]*?)\r\n--/.exec(body)?.[1] ?? body;

const upload = (house: House, body: string): object => {
  const id = house.ids.hex('file-');
  keep(deskOf(house).files, id, uploaded(body));
  return { id, object: 'file', purpose: 'batch' };
};

const createBatch = (house: House, body: string): object | null => {
  const asked = record(body);
  const input = deskOf(house).files.get(String(asked['input_file_id']));
  if (input === undefined) return null;
  const endpoint = asked['endpoint'] === '/v1/responses' ? RESPONSES : CHAT_COMPLETIONS;
  const lines = input.split('\n').filter((line) => line.trim() !== '');
  const output = house.ids.hex('file-');
  const results = lines.map((line) => outputLine(house, record(line), endpoint)).join('\n');
  keep(deskOf(house).files, output, `${results}\n`);
  const id = house.ids.hex('batch_');
  const job = { id, object: 'batch', endpoint: asked['endpoint'], status: 'validating' };
  const completed_at = Math.floor(house.now() / 1000);
  const finished = { ...job, status: 'completed', completed_at, output_file_id: output };
  keep(deskOf(house).batches, id, { job: finished, looks: 0 });
  return job;
};

const lookAtBatch = (house: House, id: string): object | null => {
  const batch = deskOf(house).batches.get(id);
  if (!batch) return null;
  batch.looks += 1;
  const { output_file_id: _file, completed_at: _at, ...running } = batch.job;
  return batch.looks > LOOKS ? batch.job : { ...running, status: 'in_progress' };
};

/** The endpoint as it answers `background: true`: accepted at once, done when it has been looked at a few times. Billed like any other. */
export const inBackground = (house: House, endpoint: Endpoint): Endpoint => ({
  ...endpoint,
  json: (context) => {
    const done = endpoint.json(context);
    if (context.request.body['background'] !== true) return done;
    const finished = { ...record(done), background: true };
    const accepted = { ...finished, status: 'queued', output: [], usage: null, completed_at: null };
    keep(deskOf(house).responses, String(record(done)['id']), {
      accepted: JSON.stringify(accepted),
      done: JSON.stringify(finished),
      looks: 0,
    });
    return JSON.stringify(accepted);
  },
});

const lookAtResponse = (house: House, id: string): object | null => {
  const response = deskOf(house).responses.get(id);
  if (!response) return null;
  response.looks += 1;
  return record(response.looks > LOOKS ? response.done : response.accepted);
};

/** Whether a path belongs to work that ends later. Background responses are told apart by their body. */
export const endsLater = (method: string, path: string): boolean =>
  /^\/openai\/v1\/(files|batches)(\/|$)/.test(path) ||
  (method === 'GET' && /^\/openai\/v1\/responses\//.test(path));

/** Answers files, batches and looks at background responses: JSON text or the lines of a file; null: no such thing. */
export const answerLater = async (
  house: House,
  req: IncomingMessage,
  path: string,
): Promise<string | null> => {
  const [, kind = '', id = '', content] = path.replace('/openai/v1', '').split('/');
  if (content === 'content') return deskOf(house).files.get(id) ?? null;
  const body = req.method === 'POST' ? await readBody(req) : '';
  if (typeof body !== 'string') return null;
  const answer = ((): object | null => {
    if (req.method === 'POST' && kind === 'files') return upload(house, body);
    if (req.method === 'POST' && kind === 'batches') return createBatch(house, body);
    return kind === 'batches' ? lookAtBatch(house, id) : lookAtResponse(house, id);
  })();
  return answer === null ? null : JSON.stringify(answer);
};
