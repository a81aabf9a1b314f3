import type { Guard } from './guard.ts';

const FOLLOW = 'test/unit/platform/follow-price-books.test.ts';
const RATER = 'test/integration/rater.test.ts';

/** Price books of a running house: swapped, refused, and what was rated by the ones before. */
export const pricesOpsGuards: readonly Guard[] = [
  {
    name: 'refreshed-books-come-into-force',
    protects: ['case 85'],
    file: 'services/platform/follow-price-books.ts',
    find: '      inForce = after;\n',
    replace: '',
    test: { file: FOLLOW, name: 'case 85 · a refreshed list' },
  },
  {
    name: 'a-refresh-keeps-contracts',
    protects: ['case 85'],
    file: 'services/platform/price-books.ts',
    find: 'createPriceBooks(books, agreed)',
    replace: 'createPriceBooks(books)',
    test: { file: FOLLOW, name: 'case 85 · a refreshed list' },
  },
  {
    name: 'a-changed-contract-makes-its-provider-again',
    protects: ['case 85'],
    file: 'services/platform/price-books.ts',
    find: 'JSON.stringify([folder?.files.map((file) => file.mark), agreed])',
    replace: 'JSON.stringify([folder?.files.map((file) => file.mark)])',
    test: { file: FOLLOW, name: 'case 85 · a contract changed while running' },
  },
  {
    name: 'versions-in-force-are-not-edited',
    protects: ['row 51'],
    file: 'services/platform/follow-price-books.ts',
    find: '      checkNothingLost(inForce, after);\n',
    replace: '',
    test: { file: FOLLOW, name: 'row 51 · a version in force' },
  },
  {
    name: 'a-repeated-batch-keeps-its-stored-prices',
    protects: ['row 51'],
    file: 'services/rater/main.ts',
    find: 'at.stored.get(rated.entry_id) ??',
    replace: '',
    test: { file: RATER, name: 'row 51 · a batch repeated after a crash' },
  },
];
