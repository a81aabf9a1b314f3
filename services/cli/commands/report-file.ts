import { readFileSync } from 'node:fs';
import type { ReportRecipe } from '../../../schemas/report.ts';
import { ReportRecipeSchema } from '../../../schemas/report.ts';
import { ReckonerError } from '../../platform/errors.ts';
import type { Report } from '../../rater/core/compare-reports.ts';
import type { ReportFormat } from './report-text.ts';
import { reportText } from './report-text.ts';

/** A report that somebody kept. */
export interface ReportFile {
  path: string;
  text: string;
  recipe: ReportRecipe;
}

const problem = (path: string, what: string): ReckonerError =>
  new ReckonerError(
    'REQUEST_INVALID',
    `${path} is no report: ${what}. Give a file that "reckoner report" wrote, with its first line.`,
  );

/**
 * Reads the recipe out of a kept report; its first line alone is enough.
 * @throws ReckonerError REQUEST_INVALID where there is none.
 */
export const readReportFile = (path: string): ReportFile => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ReckonerError(
      'REQUEST_INVALID',
      `Cannot read ${path} (${(cause as NodeJS.ErrnoException).code}). Give a file that "reckoner report" wrote.`,
      { cause },
    );
  }
  const first = text.slice(0, text.indexOf('\n') < 0 ? undefined : text.indexOf('\n'));
  let json: unknown;
  try {
    json = JSON.parse(first.replace(/^# /, ''));
  } catch {
    throw problem(path, 'its first line is not JSON');
  }
  const parsed = ReportRecipeSchema.safeParse((json as { recipe?: unknown } | null)?.recipe);
  if (parsed.success) return { path, text, recipe: parsed.data };
  const [issue] = parsed.error.issues;
  throw problem(path, `its recipe is not complete (${issue?.path.join('.')}: ${issue?.message})`);
};

const firstDifference = (left: string, right: string): number => {
  const [old, fresh] = [left.split('\n'), right.split('\n')];
  return old.findIndex((text, index) => text !== fresh[index]) + 1;
};

/**
 * Holds a report made again against the file it was made from.
 * @returns the format the file is in, or the first line that differs, from 1. A file that is only a recipe has nothing to differ.
 */
export const matchReport = (
  file: ReportFile,
  report: Report,
): { format: ReportFormat } | { differsAt: number } => {
  const formats: ReportFormat[] = file.text.startsWith('{') ? ['json'] : ['csv', 'table'];
  const same = formats.find((format) => reportText(report, format) === file.text);
  if (same !== undefined) return { format: same };
  if (file.text.trimEnd().split('\n').length === 1) {
    return { format: formats.at(-1) ?? 'json' };
  }
  const lines = formats.map((format) => firstDifference(file.text, reportText(report, format)));
  return { differsAt: Math.max(...lines) };
};
