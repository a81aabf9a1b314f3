import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { request } from 'node:http';
import { createPriceBooks } from '../../pricing/price-books.ts';
import { RouteSchema } from '../../schemas/control-record.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { book, price } from '../unit/pricing/pricing-fixtures.ts';
import { KEY, putKey, putRecord, putUpstream, startTestProxy } from './proxy-harness.ts';
import { chat } from './routing-house.ts';

/** 0.15 USD a million tokens in, 0.6 out. */
export const BOOKS = createPriceBooks([
  book(
    [
      price('input_uncached', '0.00000015', { model: 'gpt-4o-mini' }),
      price('output_text', '0.0000006', { model: 'gpt-4o-mini' }),
    ],
    {
      provider: 'openai',
      standard_tiers: ['default', 'standard'],
      aliases: [
        { alias: 'gpt-4o-mini-2024-07-18', model: 'gpt-4o-mini', source: 'https://example.test' },
      ],
    },
  ),
]);
export const COST = 'x-reckoner-cost-usd';
/** 9 x 0.00000015 + 1 x 0.0000006 = 0.00000135 + 0.0000006 */
export const COST_OF_REPLY = '0.00000195';

export const houseOf = async (upstreams: Record<string, object>, route?: object) => {
  const office = createMemoryEventLog('office');
  for (const [id, upstream] of Object.entries(upstreams)) {
    await putUpstream(office, { id, models: [], attempts_max: 1, ...upstream });
  }
  if (route) {
    const body = RouteSchema.parse({ id: 'r', models: [], ...route });
    await putRecord(office, { kind: 'route', body });
  }
  await putKey(office);
  return startTestProxy({ office, books: () => BOOKS });
};

export interface Heard {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  trailers: NodeJS.Dict<string>;
  body: Buffer;
}

export const ask = (
  url: string,
  body: string,
  about: { path?: string; headers?: OutgoingHttpHeaders; onData?: (seen: Buffer) => void } = {},
): Promise<Heard> =>
  new Promise((resolve, reject) => {
    const { path = '/a/v1/chat/completions', headers = {}, onData = () => undefined } = about;
    const req = request(`${url}${path}`, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}`, ...headers },
    });
    req.on('error', reject);
    req.on('response', (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        onData(Buffer.concat(chunks));
      });
      res.on('error', reject);
      res.on('end', () =>
        resolve({
          status: res.statusCode,
          headers: res.headers,
          trailers: res.trailers,
          body: Buffer.concat(chunks),
        }),
      );
    });
    req.end(body);
  });

export const TRAILERS = { te: 'trailers' };
export const STREAM = chat('input=70 output=7 chunks=3', { stream: true });
