// What the API answers when it refuses.

export interface Status {
  message: string;
  reason?: string;
  code: number;
  details?: { causes?: { message: string; field?: string }[] };
}

/** A refusal of the API, or of the network (code 0). */
export class ApiError extends Error {
  readonly status: Status;

  constructor(status: Status) {
    super(status.message);
    this.status = status;
  }

  get code(): number {
    return this.status.code;
  }
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError({ message: error instanceof Error ? error.message : String(error), code: 0 });
}
