/**
 * One place of the product without which a failure that was seen in the field comes back, and the test that would notice.
 * `npm run guards` takes the place out of a copy of the tree and expects that test, and only that, to turn red.
 */
export interface Guard {
  /** Unique, kebab-case: what `--only` takes. */
  readonly name: string;
  /** What it stands before: `case 24` (a case of the graveyard) or `row 54` (a row of the fault matrix). */
  readonly protects: readonly string[];
  /** The product file, from the root of the tree. */
  readonly file: string;
  /** Source text that occurs exactly once in `file`. */
  readonly find: string;
  /** The same text with the guard taken out; must still be a program. */
  readonly replace: string;
  /** The test file, and a part of the test's full name that no other test of the file has. */
  readonly test: { readonly file: string; readonly name: string };
}
