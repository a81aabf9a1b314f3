/** A field of a form and where its value stands: half-open offsets in bytes. */
export interface FormField {
  name: string;
  start: number;
  end: number;
}

const BOUNDARY = /;\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;",]{1,70}))/gi;
/** Ways of naming a field that no two readers understand differently: no escapes, no second name. .NET writes no quotes. */
const NAME =
  /^content-disposition:[ \t]*form-data[ \t]*;[ \t]*name=(?:"([^"\\%]{1,200})"|([^\s;"\\%]{1,200}))([ \t]*;[ \t]*filename\*?=.*)?$/i;
const SECOND_NAME = /;\s*name\*?\s*=/i;
/** Folded lines, line ends of one character, and values that are not what they look like. */
const UNCLEAR_HEAD = /\r\n[ \t]|\r(?!\n)|(?<!\r)\n|content-transfer-encoding/i;
const PARTS_MAX = 1_000;
const HEAD_MAX = 4_096;

/** The boundary a content type names, or null where it is no form or names several. */
const boundaryOf = (contentType: string | undefined): string | null => {
  if (contentType === undefined || !/^multipart\/form-data\s*;/i.test(contentType)) return null;
  const found = [...contentType.matchAll(BOUNDARY)];
  return found.length === 1 ? (found[0]?.[1] ?? found[0]?.[2] ?? null) : null;
};

/** Where the delimiters stand; null where a lenient reader would see others than a strict one. */
const delimitersOf = (source: string, delimiter: string): number[] | null => {
  const found = source.startsWith(delimiter) ? [0] : [];
  const line = `\n${delimiter}`;
  for (let at = source.indexOf(line); at >= 0; at = source.indexOf(line, at + line.length)) {
    if (source[at - 1] !== '\r' || found.length > PARTS_MAX) return null;
    found.push(at + 1);
  }
  return found;
};

/** The name of the field whose part has this head, or null where it is not plain. */
const nameIn = (head: string): string | null => {
  if (UNCLEAR_HEAD.test(head)) return null;
  const [line, second] = head.split('\r\n').filter((one) => /^content-disposition/i.test(one));
  const match = line === undefined || second !== undefined ? null : NAME.exec(line);
  return match && !SECOND_NAME.test(match[3] ?? '') ? (match[1] ?? match[2] ?? null) : null;
};

/**
 * The fields of a multipart form.
 * @param source one UTF-16 unit per byte (latin1).
 * @returns null for what is no form, or one that two readers may read in two ways: then nobody knows what its provider obeys.
 */
export const formFields = (source: string, contentType: string | undefined): FormField[] | null => {
  const boundary = boundaryOf(contentType);
  const delimiter = `--${boundary}`;
  const marks = boundary === null ? null : delimitersOf(source, delimiter);
  if (!marks) return null;
  const fields: FormField[] = [];
  for (const [index, mark] of marks.entries()) {
    const from = mark + delimiter.length;
    const next = marks[index + 1];
    if (next === undefined) return source.startsWith('--', from) ? fields : null;
    const headEnd = source.indexOf('\r\n\r\n', from);
    const end = next - 2;
    const isPart = source.startsWith('\r\n', from) && headEnd >= 0 && headEnd - from <= HEAD_MAX;
    if (!isPart || headEnd + 4 > end) return null;
    const name = nameIn(source.slice(from + 2, headEnd));
    if (name === null) return null;
    fields.push({ name, start: headEnd + 4, end });
  }
  return null;
};

/** The field of a name, or null where it stands there twice, under any case, or not at all. */
export const onlyField = (
  source: string,
  contentType: string | undefined,
  name: string,
): FormField | null => {
  const named = formFields(source, contentType)?.filter(
    (field) => field.name.trim().toLowerCase() === name,
  );
  const [field] = named ?? [];
  return named?.length === 1 && field?.name === name ? field : null;
};
