import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { VirtualKey } from '../../schemas/control-record.ts';
import type { Flavour } from '../../schemas/words.ts';
import { toInstant } from '../platform/clock.ts';
import { findVirtualKey } from '../platform/virtual-key.ts';
import type { HeldBody, NoRoom } from './body-room.ts';
import type { ClientCall, ClientPresence } from './client-call.ts';
import { admit, mayUseModel } from './core/admission.ts';
import type { Refusal } from './core/answers.ts';
import { createCallCost } from './core/call-cost.ts';
import type { Attribution } from './core/dimensions.ts';
import { attribute, requiredMessage, unattributed } from './core/dimensions.ts';
import type { JsonObject } from './core/flavour.ts';
import { asObject } from './core/flavour.ts';
import { presentedKey } from './core/headers.ts';
import { countMembers } from './core/json-span.ts';
import type { RequestFacts } from './core/request-facts.ts';
import { formField, furtherModels, promptPieces, requestFacts } from './core/request-facts.ts';
import type { Dialect, Route } from './core/route.ts';
import { concernsWholeAccount, pathModel, resolveAccount } from './core/route.ts';
import {
  badRequest,
  dialectOf,
  findChain,
  isPlace,
  UPSTREAM_NOT_FOUND,
  withPrices,
} from './find-chain.ts';
import type { ProxyParts } from './proxy-parts.ts';
import { readBody } from './read-body.ts';
import { estimateTextTokens } from './token-count.ts';

/** A call that may go upstream, or what to answer instead. `gone`: the client left while it was still sending. */
export type Admitted =
  | { ok: true; call: ClientCall }
  | { ok: false; refusal: Refusal | 'gone'; dialect: Dialect };

/** What is known of a call before its body is read. */
export interface Arrival {
  requestId: string;
  req: IncomingMessage;
  res: ServerResponse;
  client: ClientPresence;
  route: Route;
  /** The memory its body takes. */
  held: HeldBody;
}

/**
 * The record of the key a caller presents.
 * @returns null for no key, a wrong, revoked or expired one: callers are not told which.
 */
export const keyOf = (parts: ProxyParts, req: IncomingMessage): VirtualKey | null => {
  const presented = presentedKey(req.headers);
  if (presented === null) return null;
  const key = findVirtualKey(presented, parts.control.state.keysByPublicId, parts.pepper);
  if (!key || key.revoked) return null;
  const now = toInstant(parts.clock.nowMs());
  return key.expires_at !== undefined && key.expires_at <= now ? null : key;
};

export const NO_KEY: Refusal = {
  status: 401,
  code: 'invalid_api_key',
  message:
    'No valid key was presented. Send a virtual key (rk_…) as bearer token, in x-api-key or in x-reckoner-key.',
};

const ACCOUNT_WIDE: Refusal = {
  status: 403,
  code: 'account_wide',
  message:
    "This call reads or changes what the provider's account holds for all its tenants. Ask for one thing of your own by its id.",
};

const bodyRefusal = (reason: 'too_large' | NoRoom, bytesMax: number): Refusal => {
  if (reason === 'too_large') {
    return {
      status: 413,
      code: 'request_too_large',
      message: `The body is larger than the ${bytesMax} bytes this proxy takes.`,
    };
  }
  return reason === 'key_share'
    ? {
        status: 429,
        code: 'too_many_bytes',
        message:
          'Calls of this key that are under way hold all the memory one key may. Try again shortly.',
        retryAfterS: 1,
      }
    : {
        status: 503,
        code: 'overloaded',
        message: 'Calls under way hold all the memory there is for bodies. Try again shortly.',
        retryAfterS: 1,
      };
};

const VALUES_MAX = 1_000_000;
/** Smaller bodies are parsed in no time, whatever is in them. */
const COUNTED_FROM_BYTES = 1_048_576;
const [COMMA, BRACKET, BRACE] = [0x2c, 0x5b, 0x7b];

const TOO_MANY_VALUES: Refusal = {
  status: 413,
  code: 'request_too_large',
  message: `The body has more than ${VALUES_MAX} values, which would hold up every other call while it is read.`,
};

/** An upper bound of the values in a body of JSON: separators are counted, those within texts too. */
const hasTooManyValues = (body: Buffer): boolean => {
  if (body.length < COUNTED_FROM_BYTES) return false;
  let count = 0;
  // By index: the loop over the iterator takes ten times as long.
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at];
    if (byte === COMMA || byte === BRACKET || byte === BRACE) count += 1;
  }
  return count > VALUES_MAX;
};

/** Flavours whose endpoints take nothing but JSON in the OpenAI or Anthropic way; elsewhere the provider judges the body. */
const JSON_FLAVOURS: ReadonlySet<Flavour> = new Set([
  'openai.chat',
  'openai.responses',
  'openai.embeddings',
  'openai.completions',
  'anthropic.messages',
  'gemini.openai',
]);

/** The form field `model` of a body that is a form (audio and image uploads). */
const formModelOf = (req: IncomingMessage, body: Buffer): string | undefined => {
  const type = req.headers['content-type'];
  return type !== undefined && /^multipart\/form-data/i.test(type)
    ? formField(body.toString('latin1'), type, 'model')
    : undefined;
};

/** The body as text and as JSON; null where it is no JSON object in UTF-8. */
const parseBody = (body: Buffer): { source: string; object: JsonObject } | null => {
  if (!isUtf8(body)) return null;
  const source = body.toString('utf8');
  try {
    const object = asObject(JSON.parse(source));
    return object ? { source, object } : null;
  } catch {
    return null;
  }
};

/** Whether the key allows every model a call may set to work. A body that names its model twice says nothing that is sure. */
const mayUseModels = (
  key: VirtualKey,
  call: { path: string; model: string | undefined; parsed: ReturnType<typeof parseBody> },
): boolean => {
  const { path, model, parsed } = call;
  if (!key.models) return true;
  if (parsed && pathModel(path) === undefined && countMembers(parsed.source, 'model') > 1) {
    return false;
  }
  return [model, ...furtherModels(parsed?.object ?? null)].every((one) => mayUseModel(key, one));
};

const isRefusal = (value: object): value is Refusal => 'status' in value;

/** The key, if it is served right now. */
const servedKey = (parts: ProxyParts, req: IncomingMessage): VirtualKey | Refusal => {
  const key = keyOf(parts, req);
  return key ? (parts.pressure.refusalFor(key) ?? key) : NO_KEY;
};

/** For whom a call is made. Counts what it does not say of itself, and refuses it where its tenant or key insists. */
const attributionOf = (
  parts: ProxyParts,
  key: VirtualKey,
  call: { req: IncomingMessage; route: Route; body: JsonObject | null },
): Extract<Attribution, { ok: true }> | Refusal => {
  const attribution = attribute(key, call.req.headers, call.body);
  if (!attribution.ok) return badRequest(attribution.problem);
  for (const source of attribution.dropped ?? []) parts.metrics.attributionDropped.inc({ source });
  const tenant = parts.control.state.tenants.get(key.tenant);
  if (call.route.flavour === null || (!key.require && !tenant?.require)) return attribution;
  const missing = unattributed([tenant?.require, key.require], attribution.dimensions);
  if (missing.refused.length > 0) {
    const message = requiredMessage(missing.refused);
    return { status: 400, code: 'dimension_required', message };
  }
  for (const dimension of missing.passed) parts.metrics.unattributed.inc({ dimension });
  return attribution;
};

const MODEL_NOT_ALLOWED: Refusal = {
  status: 403,
  code: 'model_not_allowed',
  message: 'The key does not allow the model, or one of the models, that the call asks for.',
};

/** Where a call may go, by credentials, by what its key allows and by what has a price. */
const allowedChain = (
  parts: ProxyParts,
  key: VirtualKey,
  call: { route: Route; facts: RequestFacts; parsed: ReturnType<typeof parseBody> },
): ReturnType<typeof findChain> => {
  const { route, facts, parsed } = call;
  const found = findChain(parts, route, facts.model);
  if (!found.ok) return found;
  const asked = { path: route.path, model: facts.model, parsed };
  if (route.flavour !== null && !mayUseModels(key, asked)) {
    return { ok: false, refusal: MODEL_NOT_ALLOWED };
  }
  return withPrices(parts, found.chain, {
    route,
    facts,
    body: parsed?.object ?? null,
    source: parsed?.source ?? null,
  });
};

/** Checks everything that can be checked before money is spent: key, body, route, model, dimensions, budget. */
export const admitCall = async (parts: ProxyParts, arrival: Arrival): Promise<Admitted> => {
  const { req } = arrival;
  const { state } = parts.control;
  const route = resolveAccount(arrival.route, (id) => isPlace(state, id));
  const dialect = dialectOf(state, route);
  const no = (refusal: Refusal | 'gone'): Admitted => ({ ok: false, refusal, dialect });
  const key = servedKey(parts, req);
  if (isRefusal(key)) return no(key);
  if (concernsWholeAccount(req.method ?? 'GET', route.path)) return no(ACCOUNT_WIDE);
  if (route.upstreamId !== null && !isPlace(state, route.upstreamId)) return no(UPSTREAM_NOT_FOUND);
  const { body_bytes_max: bytesMax } = parts.config;
  const read = await readBody(req, bytesMax, (bytes) => arrival.held.take(key.id, bytes));
  if (!read.ok) return no(read.reason === 'aborted' ? 'gone' : bodyRefusal(read.reason, bytesMax));
  if (route.flavour !== null && hasTooManyValues(read.body)) return no(TOO_MANY_VALUES);
  const needsJson = route.flavour !== null && JSON_FLAVOURS.has(route.flavour);
  const parsed = route.flavour === null ? null : parseBody(read.body);
  if (needsJson && !parsed) {
    return no(badRequest('The body is not a JSON object in UTF-8, which this endpoint expects.'));
  }
  const formModel = route.flavour !== null && !parsed ? formModelOf(req, read.body) : undefined;
  const facts = requestFacts(parsed?.object ?? null, { ...route, formModel });
  const found = allowedChain(parts, key, { route, facts, parsed });
  if (!found.ok) return no(found.refusal);
  const attribution = attributionOf(parts, key, { req, route, body: parsed?.object ?? null });
  if (isRefusal(attribution)) return no(attribution);
  const budget = admit(
    key,
    parts.control.state.budgets,
    parts.signals.byScope,
    toInstant(parts.clock.nowMs()),
  );
  if (!budget.admitted && route.flavour !== null) return no(budget.refusal);
  const prompt = promptPieces(parsed?.object ?? null);
  const remaining = budget.admitted ? budget.remainingUsd : undefined;
  return {
    ok: true,
    call: {
      ...arrival,
      route,
      dialect,
      key,
      chain: found.chain,
      facts,
      dimensions: attribution.dimensions,
      tags: attribution.tags,
      body: read.body,
      cost: createCallCost(),
      source: parsed?.source ?? null,
      estimatedInputTokens: prompt.tokenIds + estimateTextTokens(prompt.texts.join('\n')),
      ...(remaining === undefined ? {} : { remainingUsd: remaining }),
    },
  };
};
