import { findMember, removeMember } from './json-span.ts';

const LINE = /[^\r\n]*(?:\r\n|\r|\n|$)/y;
/** Byte order mark of UTF-8, seen as latin1: a stream may begin with one. */
const MARK = /^\u00ef\u00bb\u00bf/;
/** Of a line its field name. */
const DATA = /^(?:\u00ef\u00bb\u00bf)?data:/;

interface Line {
  text: string;
  /** Length of the field name; 0 on a line that carries no data. */
  field: number;
  /** Its closing line break. */
  breakText: string;
}

const linesOf = (event: string): Line[] => {
  const lines: Line[] = [];
  LINE.lastIndex = 0;
  while (LINE.lastIndex < event.length) {
    const whole = LINE.exec(event)?.[0] ?? '';
    if (whole === '') break;
    const breakText = /[\r\n]*$/.exec(whole)?.[0] ?? '';
    const text = whole.slice(0, whole.length - breakText.length);
    lines.push({ text, breakText, field: DATA.exec(text)?.[0].length ?? 0 });
  }
  return lines;
};

/** Only an OpenAI chunk may leave its choices out altogether; elsewhere that says nothing. */
const hasNoChoices = (json: string): boolean => {
  const choices = findMember(json, 'choices');
  const text = choices && json.slice(choices.value.start, choices.value.end);
  if (text !== null && text !== 'null') return /^\[\s*\]$/.test(text);
  const object = findMember(json, 'object');
  const named = object ? json.slice(object.value.start, object.value.end) : '';
  return named === '"chat.completion.chunk"' || named === '"text_completion"';
};

/**
 * Undoes in one server-sent event what `stream_options.include_usage` did to it.
 * @param event one event with its closing blank line, one UTF-16 unit per byte (latin1). Its data may be spread over several lines,
 * which end in LF, CRLF or CR.
 * @returns the event as a direct call would have shown it; empty when a direct call would not have had it.
 */
export const hideUsage = (event: string): string => {
  if (!event.includes('usage"')) return event;
  const lines = linesOf(event);
  const carriers = lines.filter(({ field }) => field > 0);
  const data = carriers.map(({ text, field }) => text.slice(field)).join('\n');
  const offset = data.indexOf('{');
  const end = data.trimEnd().length;
  if (offset < 0) return event;
  const json = data.slice(offset, end);
  const usage = findMember(json, 'usage');
  if (!usage) return event;
  const stated = json.slice(usage.value.start, usage.value.end);
  if (stated !== 'null')
    return stated.startsWith('{') && hasNoChoices(json) ? (MARK.exec(event)?.[0] ?? '') : event;
  const kept = (data.slice(0, offset) + removeMember(json, usage) + data.slice(end)).split('\n');
  // Where the member had a line of its own, there is one line less.
  return lines
    .map(({ text, field, breakText }) => {
      if (field === 0) return text + breakText;
      const value = kept.shift();
      return value === undefined ? '' : text.slice(0, field) + value + breakText;
    })
    .join('');
};
