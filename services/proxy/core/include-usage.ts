import { findMember } from './json-span.ts';

/**
 * Asks for usage in an OpenAI chat stream by the smallest edit of the body that does it; every other byte stays.
 * @param body source of a JSON object that `JSON.parse` has accepted.
 * @returns the edited source, or null when the caller asked already.
 */
export const injectIncludeUsage = (body: string): string | null => {
  const options = findMember(body, 'stream_options');
  if (!options) {
    const brace = body.indexOf('{');
    const comma = /^\s*\}/.test(body.slice(brace + 1)) ? '' : ',';
    return `${body.slice(0, brace + 1)}"stream_options":{"include_usage":true}${comma}${body.slice(brace + 1)}`;
  }
  const { start, end } = options.value;
  if (body[start] !== '{') {
    return `${body.slice(0, start)}{"include_usage":true}${body.slice(end)}`;
  }
  const asked = findMember(body, 'include_usage', start);
  if (!asked) {
    const comma = /^\s*\}/.test(body.slice(start + 1, end)) ? '' : ',';
    return `${body.slice(0, start + 1)}"include_usage":true${comma}${body.slice(start + 1)}`;
  }
  const stated = body.slice(asked.value.start, asked.value.end);
  if (stated === 'true') return null;
  return `${body.slice(0, asked.value.start)}true${body.slice(asked.value.end)}`;
};
