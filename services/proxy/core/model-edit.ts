import { findMember } from './json-span.ts';

/**
 * The body with another model in it; every other byte stays.
 * @param source of a JSON object that `JSON.parse` has accepted.
 * @param asked the model the caller named. A body that names another one (beside a path that decides) is left alone.
 */
export const modelInBody = (source: string, asked: string, model: string): string => {
  const member = findMember(source, 'model');
  if (!member) return source;
  const { start, end } = member.value;
  return JSON.parse(source.slice(start, end)) === asked
    ? source.slice(0, start) + JSON.stringify(model) + source.slice(end)
    : source;
};

/**
 * A form with another model in its field `model`; every other byte stays.
 * @param source the form, one UTF-16 unit per byte (latin1).
 * @param model in the same spelling.
 */
export const modelInForm = (source: string, asked: string, model: string): string => {
  const at = source.indexOf('name="model"');
  if (at < 0) return source;
  const start = source.indexOf('\r\n\r\n', at) + 4;
  const end = source.indexOf('\r\n', start);
  return start >= 4 && end >= start && source.slice(start, end) === asked
    ? source.slice(0, start) + model + source.slice(end)
    : source;
};
