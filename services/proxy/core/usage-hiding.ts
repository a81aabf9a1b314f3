import { findMember, removeMember } from './json-span.ts';

/**
 * Undoes in one server-sent event what `stream_options.include_usage` did to it.
 * @param event one event with its closing blank line, one UTF-16 unit per byte (latin1).
 * @returns the event as a direct call would have shown it; empty when a direct call would not have had it.
 */
export const hideUsage = (event: string): string => {
  if (!event.includes('"usage"')) return event;
  const lines = event.split(/(?<=\n)/);
  let dropped = false;
  const kept = lines.map((line) => {
    if (!line.startsWith('data:')) return line;
    const offset = line.indexOf('{');
    if (offset < 0) return line;
    const end = line.length - (/\s*$/.exec(line)?.[0].length ?? 0);
    const json = line.slice(offset, end);
    const usage = findMember(json, 'usage');
    if (!usage) return line;
    if (json.slice(usage.value.start, usage.value.end) === 'null') {
      return line.slice(0, offset) + removeMember(json, usage) + line.slice(end);
    }
    const choices = findMember(json, 'choices');
    const empty = choices && /^\[\s*\]$/.test(json.slice(choices.value.start, choices.value.end));
    if (empty && json[usage.value.start] === '{') dropped = true;
    return line;
  });
  return dropped ? '' : kept.join('');
};
