import { Presets, SingleBar } from 'cli-progress';

/** How far the traffic is; drawn on a terminal only. */
export interface Progress {
  step(blocked: boolean): void;
  stop(): void;
}

const NOTHING: Progress = { step: () => {}, stop: () => {} };

export const createProgress = (total: number, quiet: boolean): Progress => {
  if (quiet) return NOTHING;
  let blocked = 0;
  let done = 0;
  const startedMs = performance.now();
  const bar = new SingleBar(
    {
      format: '  traffic    {bar}  {value} / {total}   {rate} req/s   {blocked} refused by budget',
      hideCursor: true,
      clearOnComplete: false,
      stream: process.stderr,
    },
    Presets.shades_classic,
  );
  bar.start(total, 0, { rate: 0, blocked: 0 });
  return {
    step: (wasBlocked) => {
      done += 1;
      if (wasBlocked) blocked += 1;
      const rate = Math.round(done / ((performance.now() - startedMs) / 1000));
      bar.increment(1, { rate, blocked });
    },
    stop: () => bar.stop(),
  };
};
