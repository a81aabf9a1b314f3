import { defineConfig } from 'vitest/config';

/**
 * The tests that judge `pricing/**` when it is mutated: those with small books of their own. The ones that read the shipped books
 * would take seconds a mutant.
 */
export default defineConfig({
  test: {
    include: ['test/unit/pricing/**/*.test.ts', 'test/property/pricing-money.test.ts'],
    exclude: [
      'test/unit/pricing/{shipped-books,graveyard-books,genai-prices,recorded-replies,rate-file,price-review,prices-import,prices-in-force}.test.ts',
    ],
    testTimeout: 20_000,
  },
});
