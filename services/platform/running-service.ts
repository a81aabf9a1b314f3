/** What composing code holds of a started service. */
export interface RunningService {
  readonly name: string;
  /** Resolves after `close`; rejects when the service cannot go on. The process then stops: replaying beats skipping. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}
