import { Agent, request } from 'undici';
import type { PlannedCall } from './plan.ts';
import { BLOCKED_TENANT } from './plan.ts';
import { requestOf } from './requests.ts';

/** What the client saw of one call. */
export interface CallOutcome {
  call: PlannedCall;
  /** 0 where no answer came at all. */
  status: number;
  /** Answered by the proxy as `x-reckoner-request-id`. */
  requestId: string | null;
  /** The whole body arrived. */
  completed: boolean;
  /** What a refused caller was told; null for every other call. */
  refusal: string | null;
}

export interface DriveOptions {
  calls: readonly PlannedCall[];
  proxyUrl: () => string;
  /** Virtual key of a tenant. */
  keyOf: (tenant: string) => string;
  concurrency: number;
  /** Tries per call while the proxy cannot be reached: more than one only where it is being killed on purpose. */
  connectAttempts: number;
  /** Waits until everything that the sequential tenant spent so far has reached budget and proxy. */
  settled: (answered: number) => Promise<void>;
  onOutcome: (outcome: CallOutcome) => void;
}

const RECONNECT_DELAY_MS = 200;
const CALL_TIMEOUT_MS = 60_000;
const REFUSAL_CHARS_MAX = 4096;

/** Reads a body to its end, or only its beginning when the plan says that the client leaves. */
const readBody = async (
  body: AsyncIterable<Uint8Array> & { destroy(): void },
  leaves: boolean,
): Promise<boolean> => {
  try {
    for await (const _chunk of body) {
      if (leaves) {
        body.destroy();
        return false;
      }
    }
    return true;
  } catch {
    return false;
  }
};

const outcomeOf = (
  call: PlannedCall,
  status: number,
  requestId: string | string[] | undefined,
): CallOutcome => ({
  call,
  status,
  requestId: typeof requestId === 'string' ? requestId : null,
  completed: false,
  refusal: null,
});

const sendOnce = async (
  call: PlannedCall,
  options: DriveOptions,
  dispatcher: Agent,
): Promise<CallOutcome> => {
  const { path, headers, body } = requestOf(call, options.keyOf(call.tenant));
  try {
    const response = await request(`${options.proxyUrl()}${path}`, {
      method: 'POST',
      headers,
      body,
      dispatcher,
      headersTimeout: CALL_TIMEOUT_MS,
      bodyTimeout: CALL_TIMEOUT_MS,
    });
    const header = response.headers['x-reckoner-request-id'];
    const leaves = call.mishap === 'leaves' && response.statusCode === 200;
    if (response.statusCode === 402) {
      const refusal = (await response.body.text()).slice(0, REFUSAL_CHARS_MAX);
      return { ...outcomeOf(call, 402, header), completed: true, refusal };
    }
    // An error event of a body that we left on purpose has no other reader.
    response.body.on('error', () => {});
    return {
      ...outcomeOf(call, response.statusCode, header),
      completed: await readBody(response.body, leaves),
    };
  } catch {
    return outcomeOf(call, 0, undefined);
  }
};

const send = async (
  call: PlannedCall,
  options: DriveOptions,
  dispatcher: Agent,
): Promise<CallOutcome> => {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await sendOnce(call, options, dispatcher);
    const unanswered = outcome.status === 0 || outcome.status === 401 || outcome.status === 503;
    if (!unanswered || attempt >= options.connectAttempts) return outcome;
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_DELAY_MS));
  }
};

/** Sends one call after another, each only when the last is settled: so a seed gives the same money on every run. */
const driveSequential = async (
  calls: readonly PlannedCall[],
  options: DriveOptions,
  dispatcher: Agent,
): Promise<void> => {
  let answered = 0;
  for (const call of calls) {
    const outcome = await send(call, options, dispatcher);
    options.onOutcome(outcome);
    if (outcome.status === 402) continue;
    answered += 1;
    await options.settled(answered);
  }
};

const driveConcurrent = async (
  calls: readonly PlannedCall[],
  options: DriveOptions,
  dispatcher: Agent,
): Promise<void> => {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < calls.length) {
      const call = calls[next] as PlannedCall;
      next += 1;
      options.onOutcome(await send(call, options, dispatcher));
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
};

/** Plays the calls: one tenant one after another, the others `concurrency` at a time. */
export const drive = async (options: DriveOptions): Promise<void> => {
  const dispatcher = new Agent({ connections: options.concurrency + 1, pipelining: 1 });
  const one = options.calls.filter((call) => call.tenant === BLOCKED_TENANT);
  const others = options.calls.filter((call) => call.tenant !== BLOCKED_TENANT);
  try {
    await Promise.all([
      driveSequential(one, options, dispatcher),
      driveConcurrent(others, options, dispatcher),
    ]);
  } finally {
    await dispatcher.close();
  }
};
