// Each bank reads one word a cycle: that of the first lane that wants something of it. Every lane that wants something of
// the same word has it too. Addresses are those of words; bank = their low bits.
module bank_arbiter #(
    parameter int LANES = 8,
    parameter int BANKS = 4,
    parameter int BANK_BITS = 2,
    parameter int WORD_BITS = 8
) (
    input  logic [LANES-1:0]                          wanted,
    input  logic [LANES-1:0][WORD_BITS+BANK_BITS-1:0] address,
    output logic [LANES-1:0]                          served,
    output logic [BANKS-1:0][WORD_BITS-1:0]           word
);
  logic [BANKS-1:0] taken;

  always_comb begin
    served = '0;
    word = '0;
    taken = '0;
    for (int b = 0; b < BANKS; b++) begin
      for (int i = 0; i < LANES; i++) begin
        if (wanted[i] && address[i][BANK_BITS-1:0] == BANK_BITS'(b)) begin
          if (!taken[b]) word[b] = address[i][WORD_BITS+BANK_BITS-1:BANK_BITS];
          taken[b] = 1'b1;
          served[i] = address[i][WORD_BITS+BANK_BITS-1:BANK_BITS] == word[b];
        end
      end
    end
  end
endmodule
