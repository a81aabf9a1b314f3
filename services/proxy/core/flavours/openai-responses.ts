import type { UnitQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawUsage } from '../counts.ts';
import type { JsonObject, ReplyEvent, ReplyReader, Statement } from '../flavour.ts';
import { asArray, asInstant, asLowerWord, asObject, asWord, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { readOpenAiUsage } from './openai-usage.ts';

const NAMES = {
  input: 'input_tokens',
  inputDetails: 'input_tokens_details',
  output: 'output_tokens',
  outputDetails: 'output_tokens_details',
} as const;

const FINAL = new Set(['response.completed', 'response.incomplete', 'response.failed']);

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

/** OpenAI Responses. In a stream the figures stand in the `response` object of the terminal event. */
export const createOpenAiResponsesReader = (): ReplyReader => {
  const seen = createTextSeen();
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;
  let tier: string | undefined;
  let finishReason: string | undefined;
  let output: readonly unknown[] = [];
  let workId: string | undefined;
  let completedAt: string | undefined;

  const readResponse = (source: string, response: JsonObject, path: readonly string[]): void => {
    model = asWord(response['model'], 200) ?? model;
    workId = asWord(response['id'], 200) ?? workId;
    completedAt = asInstant(response['completed_at']) ?? completedAt;
    tier = asLowerWord(response['service_tier'], 64) ?? tier;
    const incomplete = asObject(response['incomplete_details'])?.['reason'];
    finishReason = asWord(incomplete ?? response['status'], 64) ?? finishReason;
    const stated = asObject(response['usage']);
    if (!stated) return;
    output = asArray(response['output']);
    usage = stated;
    rawUsage = keepRawUsage(sourceAt(source, [...path, 'usage']), stated);
  };

  const readEvent = ({ source, data }: ReplyEvent): void => {
    const event = asObject(data);
    const type = event?.['type'];
    if (typeof type === 'string' && type.endsWith('.delta')) seen.add(event?.['delta']);
    const response = asObject(event?.['response']);
    if (!response) return;
    if (typeof type === 'string' && FINAL.has(type)) readResponse(source, response, ['response']);
    else {
      model = asWord(response['model'], 200) ?? model;
      workId = asWord(response['id'], 200) ?? workId;
    }
  };

  const statement = (): Statement => {
    const about = {
      ...(rawUsage === undefined ? {} : { rawUsage }),
      ...(model === undefined ? {} : { model }),
      ...(tier === undefined ? {} : { tier }),
      ...(finishReason === undefined ? {} : { finishReason }),
      ...(workId === undefined ? {} : { workId }),
      ...(completedAt === undefined ? {} : { completedAt }),
    };
    if (!usage) return { completeness: 'none', classes: {}, units: {}, ...about };
    try {
      const classes = readOpenAiUsage(usage, NAMES);
      return { completeness: 'full', classes, units: countTools(output), ...about };
    } catch {
      return { completeness: 'unreadable', classes: {}, units: {}, ...about };
    }
  };

  return {
    readBody: (source, body) => {
      const response = asObject(body);
      if (response) readResponse(source, response, []);
    },
    readEvent,
    statement,
    textSeen: seen.text,
  };
};
