import type { Guard } from './guard.ts';

const CASES = 'test/unit/proxy/reading-cases.test.ts';
const CORE = 'services/proxy/core';

/** Reading what a provider states. */
export const flavoursGuards: readonly Guard[] = [
  {
    name: 'absent-usage-is-not-zero',
    protects: ['case 6'],
    file: `${CORE}/statement.ts`,
    find: "if (!read) return { completeness: 'none'",
    replace: "if (!read) return { completeness: 'full'",
    test: { file: CASES, name: 'case 6 · openai.chat: an absent or empty usage' },
  },
  {
    name: 'start-and-delta-are-merged',
    protects: ['case 15'],
    file: `${CORE}/flavours/anthropic-messages.ts`,
    find: '  ...before,\n',
    replace: '',
    test: { file: CASES, name: 'case 15 · Anthropic: the start and the last delta' },
  },
  {
    name: 'cached-input-is-inside-the-prompt',
    protects: ['case 16'],
    file: `${CORE}/flavours/openai-usage.ts`,
    find: 'const rest = input - (cached ?? 0) - written30m',
    replace: 'const rest = input - written30m',
    test: { file: CASES, name: 'case 16 · OpenAI Chat gives the same tokens, whole' },
  },
  {
    name: 'hidden-thinking-is-charged',
    protects: ['case 17'],
    file: `${CORE}/flavours/compatible-usage.ts`,
    find: 'rules.thinkingInTotal ? hiddenThinking(usage) : {}',
    replace: '{}',
    test: { file: CASES, name: 'case 17 · thinking that shows only in the total' },
  },
  {
    name: 'reasoning-is-added-only-where-the-total-says-so',
    protects: ['case 17'],
    file: `${CORE}/flavours/compatible-usage.ts`,
    find: 'const onTop = total === prompt + output + reasoning || isBeside;',
    replace: 'const onTop = reasoning >= 0 || isBeside;',
    test: { file: CASES, name: 'case 17 · reasoning inside the output' },
  },
  {
    name: 'unknown-shape-is-not-zero',
    protects: ['case 18'],
    file: `${CORE}/counts.ts`,
    find: 'if (value === undefined) throw new UnreadableUsage();',
    replace: 'if (value === undefined) return 0;',
    test: { file: CASES, name: 'case 18 · a shape that nobody knows' },
  },
  {
    name: 'usage-set-not-added',
    protects: ['case 22'],
    file: `${CORE}/flavours/openai-chat.ts`,
    find: 'usage = stated ?? copy;',
    replace:
      "usage = { ...(stated ?? copy), completion_tokens: Number(usage?.['completion_tokens'] ?? 0) + Number((stated ?? copy)?.['completion_tokens']) };",
    test: { file: CASES, name: 'case 22 · figures that a host repeats' },
  },
  {
    name: 'last-gemini-object-counts-as-a-whole',
    protects: ['case 22'],
    file: `${CORE}/flavours/gemini-generate.ts`,
    find: '    usage = stated;\n',
    replace:
      "    usage = { ...stated, thoughtsTokenCount: Math.max(Number(usage?.['thoughtsTokenCount'] ?? 0), Number(stated['thoughtsTokenCount'])) };\n",
    test: { file: CASES, name: 'case 22 · Gemini: the last object' },
  },
];
