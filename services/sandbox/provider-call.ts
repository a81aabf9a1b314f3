import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { AccountBook, Ended } from './account-book.ts';
import {
  type AnswerContext,
  type Endpoint,
  type Frames,
  isRecord,
  isRefusal,
  type ParsedRequest,
  type Refusal,
  type Target,
  type Vendor,
} from './dialect.ts';
import {
  type Directive,
  DirectiveError,
  findDirective,
  readDirective,
  splitCounts,
} from './directive.ts';
import { Generation, stepsOf } from './generation.ts';
import { findModel } from './price-list.ts';
import type { ProviderIds } from './provider-ids.ts';

/** What every call of one sandbox shares. */
export interface House {
  readonly book: AccountBook;
  readonly ids: ProviderIds;
  /** How often a directive's refusal was answered already, by its id. */
  readonly refusalsGiven: Map<string, number>;
  /** Ends every pause when the sandbox closes. */
  readonly closing: AbortSignal;
  now(): number;
}

interface Accepted {
  readonly request: ParsedRequest;
  readonly directive: Directive | undefined;
  readonly generation: Generation;
}

interface Refused {
  readonly refusal: Refusal;
  readonly modelName: string | null;
  readonly directive?: Directive;
}

const MAX_BODY_BYTES = 32 * 1024 * 1024;
const MAX_REMEMBERED_DIRECTIVES = 100_000;
const DEFAULT_CHUNKS = 20;

/** The whole body, or a Refusal: too large, or the caller left while sending it. */
export const readBody = (req: IncomingMessage): Promise<string | Refusal> =>
  new Promise((resolve) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    req.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes <= MAX_BODY_BYTES) parts.push(part);
    });
    req.on('end', () =>
      resolve(
        bytes <= MAX_BODY_BYTES
          ? Buffer.concat(parts).toString('utf8')
          : { status: 413, message: `Request exceeds the maximum of ${MAX_BODY_BYTES} bytes.` },
      ),
    );
    const broken: Refusal = { status: 400, message: 'The request ended before its body did.' };
    req.on('error', () => resolve(broken));
    req.on('close', () => resolve(broken));
  });

const UNREADABLE: Refusal = { status: 400, message: 'We could not parse the JSON body.' };

const parseJson = (text: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const body: unknown = JSON.parse(text);
    return isRecord(body) ? body : undefined;
  } catch {
    return undefined;
  }
};

/** Counts this attempt against `status=CODExN` and says whether it is one of the first N. */
const isStillRefused = (house: House, { id, status }: Directive): boolean => {
  if (status === undefined) return false;
  const given = house.refusalsGiven.get(id) ?? 0;
  if (given >= status.times) return false;
  if (given === 0 && house.refusalsGiven.size >= MAX_REMEMBERED_DIRECTIVES) {
    const [oldest = ''] = house.refusalsGiven.keys();
    house.refusalsGiven.delete(oldest);
  }
  house.refusalsGiven.set(id, given + 1);
  return true;
};

const directiveOf = (req: IncomingMessage, request: ParsedRequest): Directive | undefined => {
  const header = req.headers['x-sandbox'];
  return typeof header === 'string' ? readDirective(header) : findDirective(request.directiveText);
};

/** Everything a provider checks before a model is asked. */
const admit = async (
  house: House,
  { vendor, endpoint, target }: Route,
  req: IncomingMessage,
): Promise<Accepted | Refused> => {
  const body = await readBody(req);
  if (!vendor.hasCredential(req.headers)) return { refusal: vendor.noCredential, modelName: null };
  if (typeof body !== 'string') return { refusal: body, modelName: null };
  const json = parseJson(body);
  if (json === undefined) return { refusal: UNREADABLE, modelName: null };
  const request = endpoint.parse(json, target);
  if (isRefusal(request)) return { refusal: request, modelName: null };
  const { modelName } = request;
  const model = findModel(vendor.provider, modelName);
  if (model === undefined || model.kind !== endpoint.kind) {
    return { refusal: vendor.unknownModel(modelName), modelName };
  }
  try {
    const directive = directiveOf(req, request);
    if (directive?.status !== undefined && isStillRefused(house, directive)) {
      return { refusal: vendor.ordered(directive.status.code), modelName, directive };
    }
    const counts = splitCounts(model, request.size, directive);
    return { request, directive, generation: new Generation(model, counts) };
  } catch (error) {
    if (!(error instanceof DirectiveError)) throw error;
    return { refusal: { status: 400, message: error.message }, modelName };
  }
};

export interface Route {
  readonly vendor: Vendor;
  readonly endpoint: Endpoint;
  readonly target?: Target;
}

const SSE = 'text/event-stream; charset=utf-8';

const joined = (frames: readonly Frames[]): Frames =>
  frames.every((frame) => typeof frame === 'string')
    ? frames.join('')
    : Buffer.concat(frames.map((frame) => Buffer.from(frame)));

/** One attempt: the request, its answer and its place on the bill. */
class Call {
  readonly requestId: string;
  readonly atMs: number;
  readonly #house: House;
  readonly #vendor: Vendor;
  readonly #res: ServerResponse;
  #left = false;

  constructor(house: House, vendor: Vendor, res: ServerResponse) {
    this.#house = house;
    this.#vendor = vendor;
    this.#res = res;
    this.atMs = house.now();
    this.requestId = vendor.requestId(house.ids);
    res.once('close', () => {
      this.#left = !res.writableFinished;
    });
    house.book.open();
  }

  async wait(ms: number | undefined): Promise<void> {
    if (ms !== undefined && ms > 0) {
      await pause(ms, undefined, { signal: this.#house.closing });
    }
  }

  refuse({ refusal, modelName }: Refused): void {
    const { status } = refusal;
    this.#note({ model: modelName, status, ended: 'refused', counts: null });
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    // Both vendors' clients prefer the milliseconds; a second would only make tests slow.
    if (status === 429) Object.assign(headers, { 'retry-after-ms': '20', 'retry-after': '1' });
    const body = this.#vendor.errorBody(refusal, this.requestId);
    this.#writeHead(status, { ...headers, 'content-length': `${Buffer.byteLength(body)}` });
    this.#res.end(body);
  }

  /** A whole reply exists before its first byte leaves: it is billed in full even if the connection is cut within it. */
  sendJson(endpoint: Endpoint, context: AnswerContext, directive: Directive | undefined): void {
    const body = endpoint.json(context);
    const cut = directive?.cutAfter !== undefined;
    this.#bill(context.generation, cut ? 'cut' : 'complete');
    this.#writeHead(200, {
      'content-type': 'application/json',
      'content-length': `${Buffer.byteLength(body)}`,
      ...endpoint.jsonHeaders?.(context),
    });
    if (cut) this.#writeAndCut(body.slice(0, Math.floor(body.length / 2)));
    else this.#res.end(body);
  }

  /** A caller who leaves does not stop the model: generation goes on, unheard, and is billed to its end. */
  async sendStream(
    form: ReturnType<NonNullable<Endpoint['stream']>>,
    generation: Generation,
    directive: Directive | undefined,
  ): Promise<void> {
    const { total } = generation;
    const cutAfter = directive?.cutAfter;
    const limit = Math.min(total, cutAfter ?? total);
    const steps = stepsOf(total, directive?.chunks ?? DEFAULT_CHUNKS).filter((at) => at < limit);
    this.#writeHead(200, {
      'content-type': form.type ?? SSE,
      'cache-control': 'no-cache',
    });
    let waiting: Frames[] = [form.head()];
    for (const [index, step] of [...steps, limit].entries()) {
      if ((directive?.chunkMs ?? 0) > 0) {
        this.#res.write(joined(waiting));
        waiting = [];
        if (index > 0) await this.wait(directive?.chunkMs);
      }
      waiting.push(form.piece(generation.upTo(step)));
    }
    if (cutAfter === undefined) waiting.push(form.tail());
    this.#bill(generation, cutAfter === undefined ? 'complete' : 'cut');
    if (cutAfter === undefined) this.#res.end(joined(waiting));
    else this.#writeAndCut(joined(waiting));
  }

  /** The sandbox itself is closing: what was generated until now is billed. */
  abandon(generation: Generation): void {
    this.#bill(generation, 'cut');
    this.#res.destroy();
  }

  #writeHead(status: number, headers: Readonly<Record<string, string>>): void {
    this.#res.writeHead(status, { ...headers, ...this.#vendor.headers(this.requestId) });
  }

  /** The bytes reach the kernel first; then the connection ends without the end of the message. */
  #writeAndCut(frames: Frames): void {
    const { socket } = this.#res;
    const empty = frames.length === 0;
    if (empty) this.#res.flushHeaders();
    this.#res.write(empty ? ' ' : frames, () => socket?.destroy());
  }

  #bill(generation: Generation, ended: Ended): void {
    this.#note({
      model: generation.model.model,
      status: 200,
      ended: this.#left ? 'client_left' : ended,
      counts: generation.counts(),
    });
  }

  #note(rest: Pick<Parameters<AccountBook['close']>[0], 'model' | 'status' | 'ended' | 'counts'>) {
    const { provider } = this.#vendor;
    this.#house.book.close({ provider, requestId: this.requestId, atMs: this.atMs, ...rest });
  }
}

/** Answers one metered call and notes it; never rejects. */
export const answerCall = async (
  house: House,
  route: Route,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> => {
  const call = new Call(house, route.vendor, res);
  const admitted = await admit(house, route, req);
  if ('refusal' in admitted) {
    await call.wait(admitted.directive?.delayMs).catch(() => undefined);
    call.refuse(admitted);
    return;
  }
  const { request, directive, generation } = admitted;
  const context: AnswerContext = { generation, request, ids: house.ids, atMs: call.atMs };
  try {
    await call.wait(directive?.delayMs);
    const form = request.stream ? route.endpoint.stream?.(context) : undefined;
    if (form === undefined) call.sendJson(route.endpoint, context, directive);
    else await call.sendStream(form, generation, directive);
  } catch (error) {
    if (!house.closing.aborted) throw error;
    call.abandon(generation);
  }
};
