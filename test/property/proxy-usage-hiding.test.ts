import fc from 'fast-check';
import { expect, test } from 'vitest';
import { injectIncludeUsage } from '../../services/proxy/core/include-usage.ts';
import { editedBody } from '../../services/proxy/core/request-facts.ts';
import { createUsageFilter } from '../../services/proxy/usage-filter.ts';

const USAGE = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };

/** Chunks as a provider writes them: any JSON beside the fields that matter, some of it looking like what is hidden. */
const chunkBody = fc.record({
  id: fc.string(),
  choices: fc.array(
    fc.record({
      delta: fc.record({
        content: fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.constant(',"usage":null'),
          fc.constant('\n\ndata: {"choices":[],"usage":{}}\n\n'),
        ),
      }),
    }),
    { minLength: 1, maxLength: 2 },
  ),
  extra: fc.jsonValue(),
});

/** The same stream as a direct caller and as a caller with `include_usage` gets it. */
const streams = fc
  .record({
    bodies: fc.array(chunkBody, { maxLength: 6 }),
    newline: fc.constantFrom('\n', '\r\n', '\r'),
    mark: fc.boolean(),
    spread: fc.boolean(),
    usageFirst: fc.boolean(),
    spaced: fc.boolean(),
    comment: fc.boolean(),
    trailing: fc.boolean(),
  })
  .map(({ bodies, newline, mark, spread, usageFirst, spaced, comment, trailing }) => {
    const text = (json: object): string => {
      if (spread) return JSON.stringify(json, null, 1);
      return spaced ? JSON.stringify(json, null, 1).replaceAll('\n', ' ') : JSON.stringify(json);
    };
    const event = (data: string): string =>
      `${data.replaceAll(/^/gm, 'data: ').replaceAll('\n', newline)}${newline}${newline}`;
    const withUsage = (body: object, usage: object | null): object =>
      usageFirst ? { usage, ...body } : { ...body, usage };
    const start = (mark ? '\ufeff' : '') + (comment ? `: ping${newline}${newline}` : '');
    const done = event('[DONE]');
    const extra = event(text(withUsage({ id: 'x', choices: [] }, USAGE)));
    const direct = start + bodies.map((body) => event(text(body))).join('') + done;
    const asked =
      start +
      bodies.map((body) => event(text(withUsage(body, null)))).join('') +
      (trailing ? done + extra : extra + done);
    const blanksUnclear = spaced && usageFirst && !spread;
    return { direct: Buffer.from(direct), asked: Buffer.from(asked), blanksUnclear };
  })
  // `{ "usage": null, "a": 1 }`: which of the two blanks the member brought with it cannot be told.
  .filter(({ blanksUnclear }) => !blanksUnclear);

test('whatever the chunk boundaries, hiding gives exactly the bytes of a direct call', () => {
  fc.assert(
    fc.property(
      streams,
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
      (s, sizes) => {
        const filter = createUsageFilter();
        const out: Buffer[] = [];
        let at = 0;
        for (let turn = 0; at < s.asked.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          out.push(filter.write(s.asked.subarray(at, at + size)));
          at += size;
        }
        out.push(filter.end());
        expect(Buffer.concat(out).toString('latin1')).toBe(s.direct.toString('latin1'));
      },
    ),
    { numRuns: 500 },
  );
});

test('asking for usage changes only that of the body, and nothing where it was asked', () => {
  const options = fc.oneof(
    fc.constant(undefined),
    fc.constant(null),
    fc.record({ include_usage: fc.boolean(), other: fc.jsonValue() }, { requiredKeys: [] }),
  );
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), options, (rest, stream_options) => {
      const body = stream_options === undefined ? rest : { ...rest, stream_options };
      const edited = injectIncludeUsage(JSON.stringify(body));
      const before = JSON.parse(JSON.stringify(body));
      if (before.stream_options?.include_usage === true) {
        expect(edited).toBeNull();
        return;
      }
      const wanted = {
        ...before,
        stream_options: { ...before.stream_options, include_usage: true },
      };
      expect(JSON.parse(edited ?? '')).toEqual(wanted);
    }),
  );
});

test('escaped spellings of a name do not keep a caller from being metered', () => {
  /** JSON whose keys are written as escapes throughout. */
  const escaped = (value: unknown): string => {
    if (typeof value !== 'object' || value === null) return JSON.stringify(value);
    const members = Object.entries(value).map(([name, item]) => {
      const key = name.replace(/[a-z_]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
      return `"${key}":${escaped(item)}`;
    });
    return `{${members.join(',')}}`;
  };
  const options = [undefined, null, {}, { include_usage: false }, { include_usage: true }];
  for (const stream_options of options) {
    const body = { stream: true, ...(stream_options === undefined ? {} : { stream_options }) };
    const source = escaped(body);
    const sent = editedBody('openai.chat', { streamed: true }, source) ?? source;
    expect(JSON.parse(sent)).toEqual({ stream: true, stream_options: { include_usage: true } });
  }
});
