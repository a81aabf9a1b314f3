import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AccountBook, type Bill } from './account-book.ts';
import { answerMessageBatches, isMessageBatches } from './anthropic-later.ts';
import { promptTexts } from './anthropic-messages.ts';
import { answerControl, type ControlDesk } from './control-desk.ts';
import { isRecord, promptTokens, type Refusal, type Vendor } from './dialect.ts';
import { answerLater, endsLater, inBackground } from './openai-later.ts';
import { RESPONSES } from './openai-responses.ts';
import { PRICE_LIST } from './price-list.ts';
import { answerCall, type House, readBody } from './provider-call.ts';
import { ProviderIds } from './provider-ids.ts';
import { metered, vendorOf } from './routes.ts';
import { HONEST } from './statements.ts';
import { answerStripe, type StripeDesk } from './stripe-endpoints.ts';
import { StripeMeters } from './stripe-meters.ts';

export interface SandboxOptions {
  /** Where to listen; 127.0.0.1 where absent. */
  host?: string;
  /** 0 or absent: any free one. */
  port?: number;
  /** Decides the ids of replies. */
  seed?: number;
  /** Event names of the Stripe meters that exist from the start; more can be created. */
  stripeMeters?: readonly string[];
  /** Milliseconds since the epoch, for tests that need another day. */
  now?: () => number;
}

export interface Sandbox {
  readonly url: string;
  /** Base URL for OpenAI clients, with `/v1`. */
  readonly openaiUrl: string;
  /** Base URL for Anthropic clients, without `/v1`, as theirs is. */
  readonly anthropicUrl: string;
  /** Stripe's clients keep only host and port, so its endpoints are at the root of `url` too. */
  readonly stripeUrl: string;
  bill(): Bill;
  close(): Promise<void>;
}

const DEFAULT_METERS = ['llm_cost_micros'];
/** Longer than clients keep idle connections, so that ours is not the end that closes under a request. */
const KEEP_ALIVE_MS = 75_000;
const LISTED_SINCE_S = 1_700_000_000;

const modelList = JSON.stringify({
  object: 'list',
  data: PRICE_LIST.filter(({ provider }) => provider === 'openai').map(({ model }) => ({
    id: model,
    object: 'model',
    created: LISTED_SINCE_S,
    owned_by: 'system',
  })),
});

const parsed = (text: string | Refusal): unknown => {
  try {
    return typeof text === 'string' && text !== '' ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
};

/** Free endpoints of a vendor: model lists and token counts. Everything else is unknown, and free too. */
const answerFree = async (
  house: House,
  vendor: Vendor,
  call: { req: IncomingMessage; res: ServerResponse; path: string },
): Promise<void> => {
  const { req, res, path } = call;
  house.book.noteNotMetered();
  const requestId = vendor.requestId(house.ids);
  const body = parsed(await readBody(req));
  const answer = (status: number, text: string): void => {
    const headers = { 'content-type': 'application/json', ...vendor.headers(requestId) };
    res.writeHead(status, headers).end(text);
  };
  const refuse = (refusal: Refusal): void =>
    answer(refusal.status, vendor.errorBody(refusal, requestId));
  if (!vendor.hasCredential(req.headers)) return refuse(vendor.noCredential);
  if (req.method === 'GET' && path === '/openai/v1/models') return answer(200, modelList);
  if (req.method === 'POST' && path === '/anthropic/v1/messages/count_tokens') {
    const tokens = promptTokens(promptTexts(isRecord(body) ? body : {}));
    return answer(200, `{"input_tokens":${tokens}}`);
  }
  refuse({ status: 404, message: `Not found: ${req.method} ${path}` });
};

const answer = async (
  house: House,
  desk: ControlDesk,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> => {
  const [path = '/', query = ''] = (req.url ?? '/').split('?', 2);
  const route = req.method === 'POST' ? metered(path, new URLSearchParams(query)) : undefined;
  if (route?.endpoint === RESPONSES) {
    return answerCall(house, { ...route, endpoint: inBackground(house, RESPONSES) }, req, res);
  }
  if (route !== undefined) return answerCall(house, route, req, res);
  const answersLater = isMessageBatches(path) ? answerMessageBatches : answerLater;
  if (isMessageBatches(path) || endsLater(req.method ?? 'GET', path)) {
    house.book.noteNotMetered();
    const text = await answersLater(house, req, path);
    res.writeHead(text === null ? 404 : 200, { 'content-type': 'application/json' });
    res.end(text ?? '{"error":{"message":"No such object."}}');
    return;
  }
  const vendor = vendorOf(path);
  if (vendor !== undefined) return answerFree(house, vendor, { req, res, path });
  const stripePath = path.replace(/^\/stripe/, '');
  if (stripePath.startsWith('/v1/billing/')) {
    const call = { req, res, path: stripePath, query: new URLSearchParams(query) };
    return answerStripe(desk.stripe, house, call);
  }
  const body = parsed(await readBody(req));
  return answerControl(desk, { method: req.method ?? 'GET', path, body }, res);
};

const listen = (server: Server, port: number, host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });

/**
 * Starts pretend providers and a pretend Stripe on one port, with books of its own. Rejects where the port is taken.
 * `close` breaks off what is under way.
 */
export const startSandbox = async (options: SandboxOptions = {}): Promise<Sandbox> => {
  const { host = '127.0.0.1', port = 0, seed = 1, stripeMeters = DEFAULT_METERS } = options;
  const now = options.now ?? Date.now;
  const closing = new AbortController();
  const book = new AccountBook();
  const refusalsGiven = new Map<string, number>();
  const ids = new ProviderIds(seed);
  const house: House = { book, ids, refusalsGiven, closing: closing.signal, now };
  const stripe: StripeDesk = {
    meters: new StripeMeters(),
    knobs: { loseNextAnswers: 0, rateLimitNext: 0 },
    replays: new Map(),
  };
  for (const eventName of stripeMeters) stripe.meters.addMeter(eventName, now());
  const desk: ControlDesk = { book, stripe, refusalsGiven, tampering: HONEST, now };
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (req, res) => {
    answer(house, desk, req, res).catch((error: unknown) => {
      // A fault of the sandbox must be seen, not retried by a client as one of the provider's moods.
      process.emitWarning(error instanceof Error ? error : String(error));
      res.destroy();
    });
  });
  const url = `http://${host}:${await listen(server, port, host)}`;
  return {
    url,
    openaiUrl: `${url}/openai/v1`,
    anthropicUrl: `${url}/anthropic`,
    stripeUrl: `${url}/stripe`,
    bill: () => book.bill(),
    close: () =>
      new Promise((resolve) => {
        closing.abort();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
