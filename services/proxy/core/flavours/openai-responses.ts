import type { UnitQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawUsage } from '../counts.ts';
import type { JsonObject, ReplyEvent, ReplyReader, Statement } from '../flavour.ts';
import { asArray, asInstant, asLowerWord, asObject, asWord, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import type { About } from '../statement.ts';
import { joinRaw, makeStatement } from '../statement.ts';
import { endAtWhole, readCompatibleUnits } from './compatible-usage.ts';
import { readOpenAiUsage } from './openai-usage.ts';

const NAMES = {
  input: 'input_tokens',
  inputDetails: 'input_tokens_details',
  output: 'output_tokens',
  outputDetails: 'output_tokens_details',
} as const;

/** States of a response that will not change any more. */
const ENDED = new Set<unknown>(['completed', 'incomplete', 'failed', 'cancelled']);
const AUDIO = 'response.audio.delta';
/** Items kept of a stream for counting. */
const ITEMS_MAX = 10_000;

/**
 * Built-in tools are sold per call and are not in the usage object: they are counted from the output items. Of web search only
 * the action `search` is sold; opening a page and finding in it are not. A code interpreter is sold per container.
 */
export const countTools = (output: readonly unknown[]): UnitQuantities => {
  const counts: Partial<Record<keyof UnitQuantities, number>> = {};
  const containers = new Set<unknown>();
  const add = (unit: keyof UnitQuantities): void => {
    counts[unit] = (counts[unit] ?? 0) + 1;
  };
  for (const item of output.map(asObject)) {
    const action = asObject(item?.['action'])?.['type'] ?? 'search';
    if (item?.['type'] === 'web_search_call' && action === 'search') add('web_search_requests');
    if (item?.['type'] === 'file_search_call') add('file_search_calls');
    if (item?.['type'] === 'computer_call') add('computer_use_calls');
    if (item?.['type'] === 'image_generation_call') add('images');
    if (item?.['type'] === 'code_interpreter_call') containers.add(item['container_id']);
  }
  if (containers.size > 0) counts.code_interpreter_sessions = containers.size;
  return Object.fromEntries(Object.entries(counts).map(([unit, count]) => [unit, String(count)]));
};

/** Text of output items, for an estimate where a host states no usage. */
const seeItems = (items: readonly unknown[], seen: { add(piece: unknown): void }): void => {
  for (const item of items.map(asObject)) {
    for (const part of asArray(item?.['content'])) seen.add(asObject(part)?.['text']);
    for (const part of asArray(item?.['summary'])) seen.add(asObject(part)?.['text']);
    seen.add(item?.['arguments'] ?? item?.['input']);
  }
};

/** Tokens of the image model that made images for the reply: kept beside the usage, as nothing says which model it was. */
const rawToolUsage = (
  source: string,
  response: JsonObject,
  path: readonly string[],
): string | undefined => {
  const tools = asObject(response['tool_usage']);
  const images = asObject(tools?.['image_gen'])?.['total_tokens'];
  const searches = asObject(tools?.['web_search'])?.['num_requests'];
  if (!images && !searches) return undefined;
  return keepRawUsage(sourceAt(source, [...path, 'tool_usage']), tools);
};

/** What a response says beside its figures. */
const aboutOf = (response: JsonObject): About => {
  const incomplete = asObject(response['incomplete_details'])?.['reason'];
  // Azure bills a prompt that its content filter refuses.
  const code = asObject(response['error'])?.['code'];
  const filtered = code === 'content_filter' ? code : undefined;
  return {
    model: asWord(response['model'], 200),
    workId: asWord(response['id'], 200),
    completedAt: asInstant(response['completed_at']),
    tier: asLowerWord(response['service_tier'], 64),
    finishReason: filtered ?? asWord(incomplete ?? response['status'], 64),
  };
};

/** Later words win; silence does not. */
const noteAll = (about: About, stated: About): void => {
  for (const [name, value] of Object.entries(stated) as [keyof About, string | undefined][]) {
    if (value !== undefined) about[name] = value;
  }
};

/**
 * OpenAI Responses. In a stream the figures stand in the `response` object of the terminal event, whatever the host calls that event;
 * items are gathered on the way, as some hosts leave them out of it.
 */
export const createOpenAiResponsesReader = (): ReplyReader => {
  const seen = createTextSeen();
  const about: About = {};
  let usage: JsonObject | null = null;
  let output: readonly unknown[] = [];
  const done: unknown[] = [];
  let ended = false;

  const readResponse = (source: string, response: JsonObject, path: readonly string[]): void => {
    noteAll(about, aboutOf(response));
    ended ||= path.length === 0 || ENDED.has(response['status']);
    const stated = asObject(response['usage']);
    if (!stated) return;
    output = asArray(response['output']);
    usage = stated;
    about.rawUsage = joinRaw([
      keepRawUsage(sourceAt(source, [...path, 'usage']), stated),
      rawToolUsage(source, response, path),
    ]);
  };

  const readEvent = ({ source, data }: ReplyEvent): void => {
    const event = asObject(data);
    const type = event?.['type'];
    // Sound is no text, although it comes as one.
    const isText = typeof type === 'string' && type.endsWith('.delta') && type !== AUDIO;
    if (isText) seen.add(event?.['delta']);
    if (type === 'response.output_item.done' && done.length < ITEMS_MAX) done.push(event?.['item']);
    const response = asObject(event?.['response']);
    if (!response) return;
    const isFinal = asObject(response['usage']) !== null || ENDED.has(response['status']);
    if (isFinal) readResponse(source, response, ['response']);
    else
      noteAll(about, {
        model: asWord(response['model'], 200),
        workId: asWord(response['id'], 200),
      });
  };

  /** Calls as the usage object counts them (xAI), or else as the output shows them: never both. */
  const toolsOf = (stated: JsonObject): UnitQuantities => {
    const shown = countTools(output.length > 0 ? output : done);
    return { ...shown, ...readCompatibleUnits(stated) };
  };
  const statement = (): Statement => {
    const stated = usage;
    const read =
      stated &&
      (() => ({ classes: readOpenAiUsage(endAtWhole(stated), NAMES), units: toolsOf(stated) }));
    return makeStatement(about, read, ended ? 'full' : 'running');
  };

  return {
    readBody: (source, body) => {
      const response = asObject(body);
      if (!response) return;
      readResponse(source, response, []);
      seeItems(asArray(response['output']), seen);
    },
    readEvent,
    statement,
    textSeen: seen.text,
  };
};
