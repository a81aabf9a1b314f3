import { Presets, SingleBar } from 'cli-progress';

/** A bar on stderr, on a terminal only. */
export const createReplayProgress = (total: number): { step(): void; stop(): void } => {
  if (!process.stderr.isTTY) return { step: () => undefined, stop: () => undefined };
  const bar = new SingleBar(
    { format: '  records {bar} {value} / {total}', hideCursor: true, stream: process.stderr },
    Presets.shades_classic,
  );
  bar.start(total, 0);
  return { step: () => bar.increment(), stop: () => bar.stop() };
};
