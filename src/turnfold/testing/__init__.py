"""What users test with: real clocks' stand-in, the contract suite of stores (shipped)."""
