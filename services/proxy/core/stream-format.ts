/** How the events of a streamed reply are framed. */
export type StreamFormat = 'sse' | 'lines' | 'aws';

const FORMATS: readonly (readonly [string, StreamFormat])[] = [
  ['text/event-stream', 'sse'],
  ['application/vnd.amazon.eventstream', 'aws'],
  ['application/x-ndjson', 'lines'],
  ['application/ndjson', 'lines'],
  ['application/stream+json', 'lines'],
  ['application/jsonl', 'lines'],
];

/** The framing a content type stands for; null for a body that is read as a whole. */
export const streamFormat = (contentType: string | undefined): StreamFormat | null => {
  const type = contentType?.trim().toLowerCase() ?? '';
  return FORMATS.find(([prefix]) => type.startsWith(prefix))?.[1] ?? null;
};
