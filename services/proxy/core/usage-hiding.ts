import { findMember, removeMember } from './json-span.ts';

/** How nearly every event of such a stream ends: the member we asked for is the last of the one object on the one line. */
const NULL_AT_END = ',"usage":null}\n\n';

/**
 * Undoes in one server-sent event what `stream_options.include_usage` did to it.
 * @param event one event with its closing blank line, one UTF-16 unit per byte (latin1).
 * @returns the event as a direct call would have shown it; empty when a direct call would not have had it.
 */
export const hideUsage = (event: string): string => {
  if (!event.includes('"usage"')) return event;
  if (
    event.endsWith(NULL_AT_END) &&
    event.startsWith('data:') &&
    event.indexOf('\n') === event.length - 2
  ) {
    return `${event.slice(0, -NULL_AT_END.length)}}\n\n`;
  }
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
