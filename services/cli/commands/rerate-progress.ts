import { Presets, SingleBar } from 'cli-progress';

export interface RerateProgress {
  show(events: number, of: number): void;
  stop(): void;
}

/** A bar on stderr, on a terminal only. */
export const createRerateProgress = (): RerateProgress => {
  if (!process.stderr.isTTY) return { show: () => undefined, stop: () => undefined };
  const bar = new SingleBar(
    {
      format: '  events {bar} {value} / {total}  {eta_formatted} left',
      hideCursor: true,
      stream: process.stderr,
    },
    Presets.shades_classic,
  );
  let started = false;
  return {
    show: (events, of) => {
      if (!started) bar.start(of, events);
      started = true;
      bar.setTotal(of);
      bar.update(events);
    },
    stop: () => bar.stop(),
  };
};
