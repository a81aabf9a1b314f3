import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { concernsWholeAccount } from '../../proxy/core/route.ts';
import { EXIT } from '../run-process.ts';
import { createReplayProgress } from './progress.ts';
import type { Recording } from './record.ts';
import { readRecordings, upstreamId } from './record.ts';
import { startReplayProxy } from './replay-proxy.ts';
import { RECORD_HEADER, startReplayUpstream } from './replay-upstream.ts';

/** What the proxy made of one record; quantities as decimal strings, zero ones left out. */
export interface RecordingLine {
  index: number;
  src: string;
  /** One of the seven endings, or `not_metered` where the call is none that a provider bills. */
  ending: UsageEvent['ending'] | 'not_metered';
  model: string | null;
  tier: string | null;
  classes: Record<string, string>;
  units: Record<string, string>;
  parts?: { model: string; classes: Record<string, string>; units: Record<string, string> }[];
}

const CALLS_AT_ONCE = 16;

interface Answer {
  status: number;
  requestId: string;
  body: Buffer;
}

const call = (url: string, recording: Recording, about: { key: string; agent: Agent }) =>
  new Promise<Answer>((resolve, reject) => {
    const req = request(
      `${url}/${upstreamId(recording.host)}${recording.target}`,
      {
        method: recording.method,
        agent: about.agent,
        headers: {
          'content-type': recording.requestType,
          'x-reckoner-key': about.key,
          [RECORD_HEADER]: `recording-${recording.index}`,
        },
      },
      (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk: Buffer) => chunks.push(chunk));
        res.on('error', reject);
        res.on('end', () =>
          resolve({
            status: res.statusCode ?? 0,
            requestId: String(res.headers['x-reckoner-request-id'] ?? ''),
            body: Buffer.concat(chunks),
          }),
        );
      },
    );
    req.on('error', reject);
    req.end(recording.method === 'POST' ? recording.requestBody : undefined);
  });

/** Runs the work over all items, so many at once. */
const forEachAtOnce = async <T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> => {
  const waiting = items.values();
  const worker = async (): Promise<void> => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
};

const nonZero = (quantities: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(quantities).filter(([, quantity]) => quantity !== '0'));

const lineOf = (recording: Recording, event: UsageEvent | undefined): RecordingLine => {
  const { index, src } = recording;
  if (!event) {
    return { index, src, ending: 'not_metered', model: null, tier: null, classes: {}, units: {} };
  }
  const parts = event.parts?.map((part) => ({
    model: part.model,
    classes: nonZero(part.classes),
    units: nonZero(part.units),
  }));
  return {
    index,
    src,
    ending: event.ending,
    model: event.model ?? event.requested_model ?? null,
    tier: event.tier ?? null,
    classes: nonZero(event.classes),
    units: nonZero(event.units),
    ...(parts ? { parts } : {}),
  };
};

/** The proxy shows nobody the lists of a whole provider account: of such a record there are no bytes to compare. */
const isWithheld = ({ method, target }: Recording, answer: Answer): boolean =>
  answer.status === 403 && concernsWholeAccount(method, target.split('?')[0] ?? target);

/** What did not come back as it was recorded; null when everything did. */
const complaintOf = (recording: Recording, answer: Answer, misrouted: boolean): string | null => {
  const name = `record ${recording.index} (${recording.host}${recording.target.split('?')[0]})`;
  if (isWithheld(recording, answer)) return null;
  if (misrouted) return `${name}: the upstream was asked for another path`;
  if (answer.status !== recording.status) {
    return `${name}: status ${answer.status} instead of ${recording.status}`;
  }
  if (!answer.body.equals(recording.body)) {
    return `${name}: ${answer.body.length} bytes that differ from the ${recording.body.length} recorded`;
  }
  return null;
};

/**
 * Replays recorded exchanges through a running proxy and gives what it metered, a line per record.
 * @param onReplayed called after each record.
 * @returns lines by index, and a sentence for each record whose bytes did not reach the client as recorded.
 */
export const replayRecordings = async (
  recordings: readonly Recording[],
  onReplayed: () => void = () => undefined,
): Promise<{ lines: RecordingLine[]; complaints: string[] }> => {
  const upstream = await startReplayUpstream(recordings);
  const replayed = recordings.filter((recording) => recording.replayed);
  const hosts = [...new Set(replayed.map(({ host }) => host))];
  const proxy = await startReplayProxy(hosts, upstream.url);
  const agent = new Agent({ keepAlive: true, maxSockets: CALLS_AT_ONCE });
  const answers = new Map<number, Answer>();
  try {
    await forEachAtOnce(replayed, CALLS_AT_ONCE, async (recording) => {
      const answer = await call(proxy.url, recording, { key: proxy.key, agent });
      answers.set(recording.index, answer);
      onReplayed();
    });
    const events = await proxy.events();
    const complaints = recordings.flatMap((recording) => {
      const answer = answers.get(recording.index);
      const misrouted = upstream.misrouted.has(recording.index);
      const complaint = answer ? complaintOf(recording, answer, misrouted) : null;
      return complaint === null ? [] : [complaint];
    });
    const lines = recordings.map((recording) =>
      lineOf(recording, events.get(answers.get(recording.index)?.requestId ?? '')),
    );
    return { lines, complaints };
  } finally {
    agent.destroy();
    await proxy.close();
    await upstream.close();
  }
};

/** `reckoner recordings`: exit code 3 when any record did not reach the client byte for byte. */
export const runRecordings = async (files: { records: string; out: string }): Promise<number> => {
  const recordings = readRecordings(files.records);
  const progress = createReplayProgress(recordings.length);
  const startedMs = performance.now();
  const { lines, complaints } = await replayRecordings(recordings, progress.step).finally(
    progress.stop,
  );
  writeFileSync(files.out, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  for (const complaint of complaints) process.stderr.write(`${complaint}\n`);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stderr.write(
    `${lines.length} records replayed in ${seconds} s, ${complaints.length} not byte for byte; written to ${files.out}\n`,
  );
  return complaints.length === 0 ? EXIT.ok : EXIT.differences;
};
