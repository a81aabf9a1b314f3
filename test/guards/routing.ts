import type { Guard } from './guard.ts';

const TEST = 'test/integration/proxy-routing.test.ts';
const BOUNDS = 'test/integration/proxy-routing-bounds.test.ts';

/** Retries, fallback and hedges: every attempt is its own event. */
export const routingGuards: readonly Guard[] = [
  {
    name: 'further-attempt-is-linked',
    protects: ['row 54'],
    file: 'services/proxy/open-record.ts',
    find: 'request_id: call.requestId,',
    replace: 'request_id: newId(),',
    test: { file: TEST, name: 'row 54 · after a 429' },
  },
  {
    name: 'failing-target-is-set-aside',
    protects: ['row 54'],
    file: 'services/proxy/core/targets.ts',
    find: 'facts.asideUntilMs === 0 && step >= last',
    replace: 'step >= last',
    test: { file: TEST, name: 'row 54 · an upstream that cannot be reached' },
  },
  {
    name: 'no-attempt-for-a-client-that-left',
    protects: ['case 9'],
    file: 'services/proxy/metered-call.ts',
    find: 'if (call.client.left()) return;\n    const ends',
    replace: 'const ends',
    test: { file: BOUNDS, name: 'case 9 · a client that leaves' },
  },
  {
    name: 'withheld-answer-is-an-event-too',
    protects: ['case 11'],
    file: 'services/proxy/exchange.ts',
    find: 'const written = parts.journal.close(fact, beside);',
    replace:
      'const written = progress.withheld === null ? parts.journal.close(fact, beside) : null;',
    test: { file: TEST, name: 'case 11 · of a call that is answered nowhere' },
  },
  {
    name: 'no-new-attempt-after-the-first-byte',
    protects: ['case 11'],
    file: 'services/proxy/exchange.ts',
    find: "if (kind !== 'complete' && !relay.started) return unanswered(on, endKind);",
    replace: "if (kind !== 'complete') return unanswered(on, endKind);",
    test: { file: TEST, name: 'case 11 · that breaks after its first byte' },
  },
  {
    name: 'hedge-loser-is-read-to-its-usage',
    protects: ['case 12'],
    file: 'services/proxy/exchange.ts',
    find: 'orders.client.onLeft(() => whenClientLeft(on));',
    replace: 'orders.client.onLeft(() => on.control.abort());',
    test: { file: BOUNDS, name: 'case 12 · goes out beside' },
  },
  {
    name: 'hedge-loser-is-not-the-clients-fault',
    protects: ['case 12'],
    file: 'services/proxy/core/close-attempt.ts',
    find: "if (unsent || outcome.kind === 'client_left') {\n    return outcome.hedgeLost ? 'hedge_lost' : 'client_left';",
    replace: "if (unsent || outcome.kind === 'client_left') {\n    return 'client_left';",
    test: { file: BOUNDS, name: 'case 12 · that loses is given up' },
  },
];
