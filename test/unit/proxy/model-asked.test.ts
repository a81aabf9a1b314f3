import { describe, expect, test } from 'vitest';
import { countMembers } from '../../../services/proxy/core/json-span.ts';
import {
  formField,
  furtherModels,
  requestFacts,
} from '../../../services/proxy/core/request-facts.ts';

const TYPE = 'multipart/form-data; boundary=b';
const part = (head: string, value: string): string => `--b\r\n${head}\r\n\r\n${value}\r\n`;
const field = (name: string, value: string): string =>
  part(`Content-Disposition: form-data; name="${name}"`, value);
const form = (...parts: string[]): string => `${parts.join('')}--b--\r\n`;

describe('the model of a form is the one its provider obeys', () => {
  test.each([
    ['as browsers write it', form(field('model', 'whisper-1'), field('file', 'RIFF'))],
    [
      'as .NET writes it',
      form(
        part(
          "Content-Disposition: form-data; name=file; filename=a.mp3; filename*=utf-8''a.mp3",
          'x',
        ),
        part(
          'Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=model',
          'whisper-1',
        ),
      ),
    ],
    [
      'whatever stands in another field',
      form(field('prompt', 'name="model"\r\n\r\ncheap\r\n'), field('model', 'whisper-1')),
    ],
  ])('%s', (_name, source) => {
    expect(formField(source, TYPE, 'model')).toBe('whisper-1');
  });

  test.each([
    ['stands there twice', form(field('model', 'cheap'), field('model', 'dear'))],
    ['stands there in two cases', form(field('model', 'cheap'), field('Model', 'dear'))],
    [
      'has a second name',
      form(part('Content-Disposition: form-data; name="model"; filename=x; name="user"', 'a')),
    ],
    ['has an escape in its name', form(field('model', 'cheap'), field('mod\\el', 'dear'))],
    [
      'has a folded head',
      form(part('Content-Disposition: form-data; name="model"\r\n ; name="user"', 'a')),
    ],
    [
      'is encoded',
      form(
        part(
          'Content-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: base64',
          'YQ==',
        ),
      ),
    ],
    [
      'stands behind lines ended by LF',
      form(
        field('user', `\n${field('model', 'dear').replaceAll('\r\n', '\n')}`),
        field('model', 'cheap'),
      ),
    ],
    ['stands behind the end', `${form(field('model', 'cheap'))}${form(field('model', 'dear'))}`],
    ['stands in a form without an end', field('model', 'cheap')],
  ])('one that %s is not known', (_name, source) => {
    expect(formField(source, TYPE, 'model')).toBeUndefined();
  });

  test('two boundaries are two forms', () => {
    const source = form(field('model', 'cheap'));
    expect(formField(source, `${TYPE}; boundary=c`, 'model')).toBeUndefined();
    expect(formField(source, 'Multipart/Form-Data; charset=x; Boundary="b"', 'model')).toBe(
      'cheap',
    );
  });
});

describe('the model of a path', () => {
  test.each([
    // Azure minds no case, and Google's and Java's clients escape the colon.
    ['/openai/Deployments/gpt-4-dear/chat/completions', 'gpt-4-dear'],
    ['/v1beta/models/gemini-dear%3AgenerateContent', 'gemini-dear'],
    ['/v1beta/models/gemini-dear:generateContent/', 'gemini-dear'],
    ['/model/dear/Invoke', 'dear'],
    ['/openai/deployments/%20dear/chat/completions', undefined],
    ['/v1beta/models/dear;x=1:generateContent', undefined],
  ])('%s is %j, whatever the body says', (path, model) => {
    expect(requestFacts({ model: 'cheap' }, { flavour: null, path }).model).toBe(model);
  });
});

describe('models a body names beside its own', () => {
  test('are what it may fall back on and what its tools work with', () => {
    expect(
      furtherModels({
        model: 'a',
        models: ['b', 7],
        fallbacks: ['c', { model: 'd' }],
        tools: [{ type: 'function' }, { type: 'advisor', model: 'e' }],
      }),
    ).toEqual(['b', '', 'c', 'd', 'e']);
    expect(furtherModels({ model: 'a', tools: 'x', models: null })).toEqual([]);
  });

  test('are a second "model", in whatever case or spelling', () => {
    expect(countMembers('{"model":"a","n":{"model":"x"}}', 'model')).toBe(1);
    expect(countMembers(' { "model" : "a" , "MODEL":"b", "mod\\u0065l":[1,"}"] }', 'model')).toBe(
      3,
    );
    expect(countMembers('{}', 'model')).toBe(0);
  });
});
