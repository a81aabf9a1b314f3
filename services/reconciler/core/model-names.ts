const SNAPSHOT_DATE = /-(\d{8}|\d{4}-\d{2}-\d{2})$/;

/** `claude-haiku-4-5-20251001` is `claude-haiku-4-5` without its date. */
export const withoutDate = (model: string): string => model.replace(SNAPSHOT_DATE, '');

/**
 * How a statement calls a model of ours. Statements name some models without their snapshot date, and a call whose reply never
 * came names its model as requested, maybe without one. The exact name always wins, and a name that could mean two
 * models stays as it is.
 * @param theirs names that stand on the provider's papers.
 */
export const createModelNaming = (theirs: Iterable<string>): ((model: string) => string) => {
  const known = new Set(theirs);
  const dated = new Map<string, string[]>();
  for (const model of known) {
    const bare = withoutDate(model);
    if (bare !== model) dated.set(bare, [...(dated.get(bare) ?? []), model]);
  }
  return (model) => {
    if (known.has(model)) return model;
    if (known.has(withoutDate(model))) return withoutDate(model);
    const snapshots = dated.get(model);
    return snapshots?.length === 1 && snapshots[0] !== undefined ? snapshots[0] : model;
  };
};
