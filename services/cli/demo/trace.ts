import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { parse } from 'csv-parse';
import { ReckonerError } from '../../platform/errors.ts';
import type { Random } from './random.ts';

/** Sizes of one call of real or generated traffic; no text. */
export interface TraceCall {
  inputTokens: number;
  outputTokens: number;
  /** Part of the input that an earlier call had already sent. */
  cachedTokens: number;
}

/** Block size of the JSONL traces: each hash id stands for so many tokens. */
const BLOCK_TOKENS = 512;
const TOKENS_MAX = 200_000;
const OUTPUT_TOKENS_MAX = 16_000;

const bad = (path: string, line: number, expected: string): ReckonerError =>
  new ReckonerError(
    'REQUEST_INVALID',
    `${path}, line ${line}: expected ${expected}. A trace is a CSV with the columns TIMESTAMP,ContextTokens,GeneratedTokens or JSON lines with input_length, output_length and hash_ids.`,
  );

const count = (value: unknown): number | null => {
  const number = typeof value === 'number' ? value : Number(String(value ?? '').trim() || 'x');
  return Number.isInteger(number) && number >= 0 ? number : null;
};

const sizes = (input: number, output: number, cached: number): TraceCall => {
  const inputTokens = Math.min(Math.max(input, 1), TOKENS_MAX);
  return {
    inputTokens,
    outputTokens: Math.min(Math.max(output, 1), OUTPUT_TOKENS_MAX),
    cachedTokens: Math.min(cached, inputTokens - 1),
  };
};

const readCsv = async (path: string, limit: number): Promise<TraceCall[]> => {
  const calls: TraceCall[] = [];
  const source = createReadStream(path);
  const rows = source.pipe(parse({ columns: true, bom: true, trim: true }));
  source.once('error', (error) => rows.destroy(error));
  let line = 1;
  for await (const row of rows as AsyncIterable<Record<string, string>>) {
    line += 1;
    const input = count(row['ContextTokens']);
    const output = count(row['GeneratedTokens']);
    if (input === null || output === null) {
      throw bad(path, line, 'whole numbers in ContextTokens and GeneratedTokens');
    }
    calls.push(sizes(input, output, 0));
    if (calls.length >= limit) break;
  }
  return calls;
};

const readJsonLines = async (path: string, limit: number): Promise<TraceCall[]> => {
  const calls: TraceCall[] = [];
  const seen = new Set<number>();
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(path) })) {
    line += 1;
    if (text.trim() === '') continue;
    let row: { input_length?: unknown; output_length?: unknown; hash_ids?: unknown };
    try {
      row = JSON.parse(text);
    } catch {
      throw bad(path, line, 'one JSON object');
    }
    const input = count(row.input_length);
    const output = count(row.output_length);
    if (input === null || output === null) {
      throw bad(path, line, 'whole numbers in input_length and output_length');
    }
    const blocks = Array.isArray(row.hash_ids) ? row.hash_ids.filter(Number.isInteger) : [];
    const known = blocks.filter((block) => seen.has(block)).length;
    for (const block of blocks) seen.add(block);
    calls.push(sizes(input, output, known * BLOCK_TOKENS));
    if (calls.length >= limit) break;
  }
  return calls;
};

/**
 * Reads at most `limit` calls of a trace file, by its ending: `.csv` or `.jsonl`. A file with fewer calls is gone through
 * again from its start, so that as many are played as were asked for.
 * @throws ReckonerError REQUEST_INVALID naming the line.
 */
export const readTrace = async (path: string, limit: number): Promise<TraceCall[]> => {
  let calls: TraceCall[];
  try {
    calls = path.endsWith('.jsonl') ? await readJsonLines(path, limit) : await readCsv(path, limit);
  } catch (error) {
    if (error instanceof ReckonerError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new ReckonerError('REQUEST_INVALID', `Cannot read the trace ${path} (${code}).`, {
      cause: error,
    });
  }
  if (calls.length === 0) throw bad(path, 2, 'at least one call');
  const once = calls.length;
  for (let index = 0; calls.length < limit; index += 1) {
    calls.push(calls[index % once] as TraceCall);
  }
  return calls;
};

/** Made-up traffic with the long-tailed sizes of real conversations: most calls small, a few very large. */
export const generateTrace = (random: Random, calls: number): TraceCall[] =>
  Array.from({ length: calls }, () => {
    const spread = (median: number, factor: number): number =>
      Math.round(median * Math.exp((random.next() + random.next() + random.next() - 1.5) * factor));
    const input = spread(900, 1.6);
    const cached = random.chance(0.35) ? Math.floor(input * (0.4 + 0.5 * random.next())) : 0;
    return sizes(input, spread(160, 1.3), cached);
  });
