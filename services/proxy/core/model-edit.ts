import { findMember } from './json-span.ts';
import { onlyField } from './multipart-form.ts';

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
export const modelInForm = (
  source: string,
  contentType: string | undefined,
  model: string,
): string => {
  const field = onlyField(source, contentType, 'model');
  return field ? source.slice(0, field.start) + model + source.slice(field.end) : source;
};
