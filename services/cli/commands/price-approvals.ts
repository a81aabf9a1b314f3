import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { NameSchema } from '../../../schemas/ids.ts';
import { ApprovalSchema } from '../../../schemas/price-book.ts';
import { ReckonerError } from '../../platform/errors.ts';

export interface ApprovalRequest {
  by: string;
  now: string;
  /** Who prepared it may not approve it. */
  fourEyes: boolean;
  /** Different people who have to approve it. With 2, four eyes as well. */
  approvalsMin: 1 | 2;
}

type Approval = z.infer<typeof ApprovalSchema>;

/** Beside a draft that waits for another approval. It counts for exactly those bytes. */
const KeptSchema = z.strictObject({ draft_sha256: z.string(), approved: z.array(ApprovalSchema) });

const keptPath = (draftPath: string): string =>
  draftPath.replace(/\.draft\.json$/, '.approvals.json');
const hashOf = (draftPath: string): string =>
  createHash('sha256').update(readFileSync(draftPath)).digest('hex');

const invalid = (message: string): ReckonerError =>
  new ReckonerError('PRICE_BOOK_INVALID', message);

/** Approvals kept of exactly this draft; those of a draft that was changed since are void. */
const readKept = (draftPath: string): Approval[] => {
  const path = keptPath(draftPath);
  if (!existsSync(path)) return [];
  try {
    const kept = KeptSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
    return kept.draft_sha256 === hashOf(draftPath) ? kept.approved : [];
  } catch {
    throw invalid(
      `${path} cannot be read as the approvals of a draft. Remove it; those approvals have to be given again.`,
    );
  }
};

/**
 * The approvals of a draft with the one asked for.
 * @param what names the draft for people, such as `openai@3`.
 * @throws ReckonerError PRICE_BOOK_INVALID where this person may not approve it.
 */
export const approvalsWith = (
  draft: { path: string; what: string; preparedBy: string | undefined },
  request: ApprovalRequest,
): Approval[] => {
  const { by, now } = request;
  if (!NameSchema.safeParse(by).success) {
    throw invalid(
      `--by ${JSON.stringify(by)} is no name; expected 1 to 64 letters, digits, dots, dashes or underscores, such as ann.lee.`,
    );
  }
  const fourEyes = request.fourEyes || request.approvalsMin === 2;
  if (fourEyes && (draft.preparedBy ?? by) === by) {
    throw invalid(
      `${draft.what} was prepared by ${draft.preparedBy ?? 'nobody named'}; with four eyes somebody else has to approve it.`,
    );
  }
  const kept = readKept(draft.path);
  const before = kept.find((approval) => approval.by === by);
  if (before && request.approvalsMin > kept.length) {
    throw invalid(
      `${by} approved ${draft.what} on ${before.at} already; the second approval has to come from somebody else.`,
    );
  }
  return [...kept.filter((approval) => approval.by !== by), { by, at: now }];
};

/** Keeps approvals beside the draft until there are enough. */
export const keepApprovals = (draftPath: string, approved: readonly Approval[]): void =>
  writeFileSync(
    keptPath(draftPath),
    `${JSON.stringify({ draft_sha256: hashOf(draftPath), approved }, null, 2)}\n`,
  );

/** After publishing: draft and approvals are in the published version. */
export const removeDraft = (draftPath: string): void => {
  rmSync(draftPath, { force: true });
  rmSync(keptPath(draftPath), { force: true });
};
