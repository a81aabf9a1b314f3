import type { Guard } from './guard.ts';

const COST = 'test/integration/proxy-cost.test.ts';

/** What a caller is told about the cost of its call, and what becomes of usage that has no price. */
export const costsGuards: readonly Guard[] = [
  {
    name: 'cost-waits-for-every-attempt',
    protects: ['case 86'],
    file: 'services/proxy/core/call-cost.ts',
    find: 'attempts === 0 || open > 0 || scaled === null',
    replace: 'attempts === 0 || scaled === null',
    test: { file: COST, name: 'case 86 · while a hedge is still running' },
  },
  {
    name: 'cost-sums-every-attempt',
    protects: ['case 86'],
    file: 'services/proxy/core/call-cost.ts',
    find: 'scaled += scaledAmount(totalUsd);',
    replace: 'scaled = scaledAmount(totalUsd);',
    test: { file: COST, name: 'case 86 · of all attempts together' },
  },
  {
    name: 'unrated-cost-is-not-zero',
    protects: ['case 86'],
    file: 'services/proxy/core/call-cost.ts',
    find: 'if (totalUsd === undefined) scaled = null;',
    replace: 'if (totalUsd === undefined) scaled = scaled ?? 0n;',
    test: { file: COST, name: 'case 86 · when no book names the model' },
  },
  {
    name: 'cost-to-be-corrected-is-not-told',
    protects: ['case 86'],
    file: 'services/proxy/exchange.ts',
    find: 'call.cost.closed(operation ? undefined : attemptCost(parts, fact));',
    replace: 'call.cost.closed(attemptCost(parts, fact));',
    test: { file: COST, name: 'case 86 · of an answer without usage' },
  },
  {
    name: 'head-of-a-short-answer-waits-for-the-cost',
    protects: ['case 86'],
    file: 'services/proxy/client-relay.ts',
    find: 'if (mayWait(chunk) || held.length === 1) return true;',
    replace: 'if (held.length === 1) return true;',
    test: { file: COST, name: 'case 86 · of a body of JSON that comes in many pieces' },
  },
  {
    name: 'cost-of-a-stream-is-its-trailer',
    protects: ['case 86'],
    file: 'services/proxy/late-head.ts',
    find: 'if (announced) res.addTrailers(known);',
    replace: 'if (announced && !known) res.addTrailers({});',
    test: { file: COST, name: 'case 86 · of a stream, as a trailer' },
  },
  {
    name: 'unpriced-model-is-not-sent',
    protects: ['case 82'],
    file: 'services/proxy/find-chain.ts',
    find: 'if (!blocksUnpriced(upstream)) return true;',
    replace: 'if (upstream) return true;',
    test: {
      file: 'test/integration/unknown-price.test.ts',
      name: 'case 82 · refuses an unpriced model',
    },
  },
  {
    name: 'ceiling-counts-against-the-budget',
    protects: ['case 82'],
    file: 'services/budget/core/spend-book.ts',
    find: 'const amount = entry.total_usd ?? entry.ceiling_usd;',
    replace: 'const amount = entry.total_usd;',
    test: {
      file: 'test/unit/budget/ceilings.test.ts',
      name: 'case 82 · counts usage without a price',
    },
  },
  {
    name: 'http2-carries-trailers-on',
    protects: ['case 86'],
    file: 'services/proxy/http2-door.ts',
    find: "answer.on('end', () => res.addTrailers(answer.trailers));",
    replace: '',
    test: { file: COST, name: 'case 86 · over HTTP/2' },
  },
];
