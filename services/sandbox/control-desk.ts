import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type AccountBook, itemOf } from './account-book.ts';
import { isRecord } from './dialect.ts';
import { picoOfUsd, usdOfPico } from './exact-usd.ts';
import { PROVIDERS, type Provider } from './price-list.ts';
import {
  anthropicStatement,
  HONEST,
  itemsCsv,
  openaiStatement,
  plainStatement,
  type Tampering,
} from './statements.ts';
import { type StripeDesk, turnStripeKnobs } from './stripe-endpoints.ts';

/** What people and tests ask the sandbox itself. */
export interface ControlDesk {
  readonly book: AccountBook;
  readonly stripe: StripeDesk;
  readonly refusalsGiven: Map<string, number>;
  tampering: Tampering;
  now(): number;
}

const ITEMS_A_WRITE = 1_000;
const SABOTAGE_USD = '0.01';

function* billJson(book: AccountBook): Generator<string> {
  yield `${JSON.stringify(book.totals()).slice(0, -1)},"items":[`;
  const attempts = book.attempts();
  for (let from = 0; from < attempts.length; from += ITEMS_A_WRITE) {
    const texts = attempts.slice(from, from + ITEMS_A_WRITE).map((a) => JSON.stringify(itemOf(a)));
    yield (from === 0 ? '' : ',') + texts.join(',');
  }
  yield ']}\n';
}

/** Writes at the reader's pace: a bill of 200,000 items is some 90 MB of JSON. A reader who leaves ends it. */
const sendParts = async (
  res: ServerResponse,
  type: string,
  parts: Iterable<string>,
): Promise<void> => {
  res.writeHead(200, { 'content-type': type });
  await pipeline(Readable.from(parts), res).catch(() => res.destroy());
};

const sendJson = (res: ServerResponse, value: unknown, status = 200): void => {
  res.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`);
};

const CSV = 'text/csv; charset=utf-8';

/** Adds `usd` (0.01 where absent) to the first line of one provider's statement; of the one that has lines where none is named. */
const tamper = (desk: ControlDesk, wanted: unknown): object => {
  const order = isRecord(wanted) ? wanted : {};
  const provider: Provider =
    PROVIDERS.find((name) => name === order['provider']) ??
    PROVIDERS.find((name) => desk.book.dayLines(name).length > 0) ??
    'openai';
  const usd = typeof order['usd'] === 'string' ? order['usd'] : SABOTAGE_USD;
  const added = usdOfPico(picoOfUsd(desk.tampering[provider]) + picoOfUsd(usd));
  desk.tampering = { ...desk.tampering, [provider]: added };
  return { provider, line: 2, added_usd: added };
};

const reset = (desk: ControlDesk): object => {
  desk.book.reset();
  desk.stripe.meters.reset();
  desk.stripe.replays.clear();
  Object.assign(desk.stripe.knobs, { loseNextAnswers: 0, rateLimitNext: 0 });
  desk.refusalsGiven.clear();
  desk.tampering = HONEST;
  return { reset: true };
};

/** The provider named in `/sandbox/statements/<provider>.csv`, where it has no export of its own kind. */
const plainProvider = (path: string): Provider | undefined =>
  PROVIDERS.find((name) => path === `/sandbox/statements/${name}.csv`);

const get = async (desk: ControlDesk, path: string, res: ServerResponse): Promise<boolean> => {
  const plain = plainProvider(path);
  if (path === '/sandbox/bill') await sendParts(res, 'application/json', billJson(desk.book));
  else if (path === '/sandbox/totals') sendJson(res, desk.book.totals());
  else if (path === '/sandbox/items.csv') await sendParts(res, CSV, itemsCsv(desk.book));
  else if (path === '/sandbox/statements/openai.csv') {
    await sendParts(res, CSV, [openaiStatement(desk.book, desk.tampering)]);
  } else if (path === '/sandbox/statements/anthropic.csv') {
    await sendParts(res, CSV, [anthropicStatement(desk.book, desk.tampering)]);
  } else if (plain !== undefined) {
    await sendParts(res, CSV, [plainStatement(plain, desk.book, desk.tampering)]);
  } else if (path === '/sandbox/stripe') sendJson(res, desk.stripe.meters.state(desk.now()));
  else return false;
  return true;
};

/** Answers `/sandbox/*`. `body` is the parsed JSON of a post, undefined where there was none. */
export const answerControl = async (
  desk: ControlDesk,
  call: { method: string; path: string; body: unknown },
  res: ServerResponse,
): Promise<void> => {
  const { method, path, body } = call;
  if (method === 'GET' && (await get(desk, path, res))) return;
  if (method === 'POST' && path === '/sandbox/reset') return sendJson(res, reset(desk));
  if (method === 'POST' && path === '/sandbox/tamper') return sendJson(res, tamper(desk, body));
  if (method === 'POST' && path === '/sandbox/stripe') {
    turnStripeKnobs(desk.stripe, body, desk.now());
    return sendJson(res, desk.stripe.meters.state(desk.now()));
  }
  sendJson(
    res,
    { error: `The sandbox has no ${method} ${path}; its README lists what it has.` },
    404,
  );
};
